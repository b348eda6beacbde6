//! Guessing: accounts and addresses are locked, codes are good for once, and all is on record.

use jiff::SignedDuration;
use maskline::console::staff::Role;

use super::desk::{self, Desk, cookie_of};
use crate::{program::maskline, support::TestApp};

const STAFF: &str =
    "select rule || ' ' || detail from audit_record where kind = 'staff' order by at, id";

#[tokio::test]
async fn what_was_wrong_is_not_told() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let code = desk.code(&erin);
    let mut said = Vec::new();
    for (name, password, code) in [
        ("Nobody", &*erin.password, &*code),
        ("Erin", "not the password at all", &code),
        ("Erin", &erin.password, "000000"),
        ("Erin", &erin.password, ""),
    ] {
        let answer = desk.try_with(name, password, code, None).await;
        assert_eq!(answer.status, 422);
        assert!(answer.cookie.is_none());
        said.push(answer.body.replace(&format!("value=\"{name}\""), ""));
    }
    assert!(said.iter().all(|body| *body == said[0]), "{said:?}");
    assert!(cookie_of(&desk.try_with("erin", &erin.password, &code, None).await).is_some());
    let trail = test.column(STAFF).await;
    assert_eq!(trail.len(), 5);
    assert_eq!(
        trail[0],
        "sign_in_failed by somebody unknown, from 127.0.0.1: was not let in: something was wrong"
    );
    assert!(trail[1].starts_with("sign_in_failed by Erin, auditor, from 127.0.0.1"));
    assert_eq!(trail[4], "sign_in by Erin, auditor, from 127.0.0.1: signed in");
}

#[tokio::test]
async fn a_code_is_good_for_once() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let code = desk.code(&erin);
    let enter = async |code: &str| {
        cookie_of(&desk.try_with("Erin", &erin.password, code, None).await).is_some()
    };
    assert!(enter(&code).await);
    assert!(!enter(&code).await, "it was used");
    test.advance(SignedDuration::from_secs(30));
    assert!(!enter(&code).await, "though it would still do");
    let next = desk.code(&erin);
    assert!(enter(&next).await);
}

#[tokio::test]
async fn one_code_used_twice_at_once_lets_one_in() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let code = desk.code(&erin);
    let tries = (0..4).map(|_| desk.try_with("Erin", &erin.password, &code, None));
    let answers = futures_util::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 303).count(), 1);
}

#[tokio::test]
async fn five_failures_lock_an_account_for_a_while() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (erin, dana) =
        (desk.staff("Erin", Role::Auditor).await, desk.staff("Dana", Role::Admin).await);
    // At once, too: each is counted before it is judged.
    let guesses = (0..9).map(|_| desk.try_with("Erin", "guess guess guess", "123456", None));
    futures_util::future::join_all(guesses).await;
    assert_eq!(test.value::<i32>("select failures from staff where name = 'Erin'").await, 5);
    assert_eq!(desk.try_to_enter(&erin).await.status, 422, "locked, though all is right");
    let cookie = desk.enter(&dana).await;
    assert_eq!(desk.get("/", Some(&cookie)).await.status, 200, "others are not");
    let listed = maskline(&test, &["staff", "list", "--format", "json"]).json();
    assert_eq!(listed[1]["name"], "Erin");
    test.advance(SignedDuration::from_mins(15));
    let again = desk.try_with("Erin", "guess guess guess", "123456", None).await;
    assert_eq!(again.status, 422);
    assert_eq!(desk.try_to_enter(&erin).await.status, 422, "one more failure locks it again");
    test.advance(SignedDuration::from_mins(15));
    desk.enter(&erin).await;
    assert_eq!(test.value::<i32>("select failures from staff where name = 'Erin'").await, 0);
    let trail = test.column(STAFF).await;
    let locked = |line: &&String| line.starts_with("sign_in_locked by Erin");
    assert_eq!(trail.iter().filter(locked).count(), 2, "{trail:#?}");
}

#[tokio::test]
async fn a_browser_left_open_is_no_place_to_guess_a_password() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let cookie = desk.enter(&erin).await;
    let choose = async |old: &str| {
        let chosen = "seven quiet harbours";
        let form = [("old", old), ("new", chosen), ("again", chosen)];
        desk.post("/password", Some(&cookie), &form.map(|(key, value)| (key, value.into()))).await
    };
    for _ in 0..4 {
        let answer = choose("guess guess guess").await;
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains("is not right"), "{}", answer.body);
    }
    assert_eq!(choose(&erin.password).await.status, 303, "a slip is forgiven");
    assert_eq!(test.value::<i32>("select failures from staff").await, 0);
    for _ in 0..4 {
        choose("guess guess guess").await;
    }
    let last = choose("guess guess guess").await;
    assert_eq!(last.location.as_deref(), Some("/sign-in"));
    assert_eq!(desk.get("/sessions", Some(&cookie)).await.status, 303, "signed out");
    assert_eq!(desk.try_to_enter(&erin).await.status, 422, "and locked");
    let trail = test.column(STAFF).await;
    let of = |rule: &str| trail.iter().filter(|line| line.starts_with(rule)).count();
    assert_eq!((of("password_refused by Erin"), of("sign_in_locked by Erin")), (9, 1));
}

#[tokio::test]
async fn a_locked_account_changes_no_password_and_keeps_its_browser() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let cookie = desk.enter(&erin).await;
    for _ in 0..5 {
        desk.try_with("Erin", "guess guess guess", "123456", None).await;
    }
    let chosen = "seven quiet harbours";
    let form = [("old", &*erin.password), ("new", chosen), ("again", chosen)];
    let form = form.map(|(key, value)| (key, value.into()));
    let answer = desk.post("/password", Some(&cookie), &form).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("locked for now"), "{}", answer.body);
    assert_eq!(
        desk.get("/sessions", Some(&cookie)).await.status,
        200,
        "others cannot sign her out"
    );
    test.advance(SignedDuration::from_mins(15));
    assert_eq!(desk.post("/password", Some(&cookie), &form).await.status, 303);
}

#[tokio::test]
async fn twenty_failures_lock_an_address_for_a_while() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    for at in 0..20 {
        desk.try_with(&format!("Nobody {at}"), "guess guess guess", "123456", None).await;
    }
    assert_eq!(desk.try_to_enter(&erin).await.status, 422, "locked, though all is right");
    assert_eq!(test.value::<i32>("select failures from staff").await, 0, "that locks nobody out");
    test.advance(SignedDuration::from_mins(15));
    desk.enter(&erin).await;
    let kept = test.value::<i64>("select count(*) from sign_in_failure where failures > 1");
    assert_eq!(kept.await, 0);
}

#[tokio::test]
async fn whoever_is_disabled_is_out_at_once() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let cookie = desk.enter(&erin).await;
    maskline(&test, &["staff", "disable", "erin", "--by", "Dana"]).done();
    assert_eq!(desk.get("/", Some(&cookie)).await.status, 303);
    assert_eq!(desk.try_to_enter(&erin).await.status, 422);
    let trail = test.column(STAFF).await;
    assert!(
        trail.contains(&"staff_disable by Dana: account Erin disabled".to_owned()),
        "{trail:?}"
    );
    assert!(maskline(&test, &["staff", "disable", "Erin"]).failed().contains("disabled already"));
    assert!(maskline(&test, &["staff", "reset", "Erin"]).failed().contains("for good"));
    let taken = maskline(&test, &["staff", "add", "ERIN", "--role", "admin"]).failed();
    assert!(taken.contains("given once"), "{taken}");
}

#[tokio::test]
async fn the_first_account_is_made_on_the_command_line() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let said =
        maskline(&test, &["staff", "add", "Dana Ek", "--role", "admin", "--by", "root"]).done();
    let line = |word: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(word)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    let (password, secret) = (line("Password:"), line("Secret:"));
    assert!(said.contains("otpauth://totp/Maskline:Dana%20Ek?secret="), "{said}");
    assert!(said.contains('█') || said.contains('▄'), "a QR code");
    let secret = desk::secret_of(&secret);
    let code = secret.code(maskline::console::staff::totp::step_at(test.app.clock.now()));
    let entered = desk.try_with("Dana Ek", &password, &code, None).await;
    assert_eq!(entered.status, 303, "{entered:?}");
    for (what, word) in [("password", &password), ("secret", &said)] {
        assert_eq!(test.places(word).await, [""; 0], "{what}");
    }

    let table = maskline(&test, &["staff", "list"]).done();
    assert!(table.contains("Dana Ek") && table.contains("not used yet"), "{table}");
    let reset = maskline(&test, &["staff", "reset", "dana ek"]).done();
    assert!(!reset.contains(&password));
    let cookie = cookie_of(&entered).unwrap();
    assert_eq!(desk.get("/password", Some(&cookie)).await.status, 303, "signed out everywhere");
    assert!(maskline(&test, &["staff", "reset", "Nobody"]).failed().contains("no such account"));
    for wrong in
        [&["staff", "add", "Dana"][..], &["staff", "add", "206-555-0142", "--role", "admin"]]
    {
        assert_eq!(maskline(&test, wrong).code, 2, "{wrong:?}");
    }
}
