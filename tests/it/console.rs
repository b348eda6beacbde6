//! The console over real HTTP: who is let in, for how long, and who may do what.

pub mod desk;
mod exports;
mod lapsing;
mod lockout;
mod paging;
pub mod removals;
mod reveals;
pub mod roles;
mod screens;
mod search;
mod subjects;
mod verifying;

use jiff::SignedDuration;
use maskline::console::staff::Role;

use self::desk::{Desk, cookie_of};
use crate::support::TestApp;

#[tokio::test]
async fn nobody_sees_anything_without_signing_in() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let home = desk.get("/", None).await;
    assert_eq!((home.status, home.location.as_deref()), (303, Some("/sign-in")));
    let deep = desk.get("/sessions?a=1", None).await;
    assert_eq!(deep.location.as_deref(), Some("/sign-in?next=%2Fsessions%3Fa%3D1"));
    let made_up = Some("0".repeat(64));
    assert_eq!(desk.get("/", made_up.as_deref()).await.status, 303);
    assert_eq!(desk.post("/sign-out", None, &[]).await.status, 401);
}

#[tokio::test]
async fn whoever_is_new_chooses_a_password_first() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.hire("Erin", Role::Auditor).await;
    let cookie = desk.enter(&erin).await;
    let home = desk.get("/", Some(&cookie)).await;
    assert_eq!(home.location.as_deref(), Some("/password"));
    let chosen = |old: &str, new: &str, again: &str| {
        vec![("old", old.to_owned()), ("new", new.to_owned()), ("again", again.to_owned())]
    };
    for (old, new, again, says) in [
        (&*erin.password, "too short", "too short", "15 characters"),
        (&erin.password, "erin has many words", "erin has many words", "Leave your name out"),
        (&erin.password, "a long enough phrase", "a long enough phrasE", "not the same"),
        (&erin.password, &erin.password, &erin.password, "another password"),
        ("wrong", "a long enough phrase", "a long enough phrase", "is not right"),
    ] {
        let said = desk.post("/password", Some(&cookie), &chosen(old, new, again)).await;
        assert_eq!(said.status, 422);
        assert!(said.body.contains(says), "{says}: {}", said.body);
    }
    let new = "a long enough phrase";
    let done = desk.post("/password", Some(&cookie), &chosen(&erin.password, new, new)).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert_eq!(desk.get("/", Some(&cookie)).await.status, 200);
    assert_eq!(desk.try_to_enter(&erin).await.status, 422, "the first password is gone");
    let erin = desk::Member { password: new.to_owned(), ..erin };
    desk.enter(&erin).await;
    let kept = test.column("select password_hash from staff").await;
    assert!(kept[0].starts_with("$argon2id$") && !kept[0].contains(new));
    assert_eq!(test.places(&erin.secret.to_text()).await, [""; 0], "it is sealed");
}

#[tokio::test]
async fn the_session_is_new_after_signing_in_and_gone_after_signing_out() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;

    // What somebody planted before is worth nothing afterwards.
    let planted = "a".repeat(64);
    let entered = desk.try_to_enter_with(&erin, Some(&planted)).await;
    let first = cookie_of(&entered).unwrap();
    assert_ne!(first, planted);
    assert_eq!(desk.get("/", Some(&planted)).await.status, 303);

    let set = entered.cookie.clone().unwrap();
    for part in ["__Host-maskline=", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");

    // Signing in once more in the same browser leaves no second session.
    let second = cookie_of(&desk.try_to_enter_with(&erin, Some(&first)).await).unwrap();
    assert_eq!(desk.get("/", Some(&first)).await.status, 303);
    assert_eq!(desk.get("/", Some(&second)).await.status, 200);

    let out = desk.post("/sign-out", Some(&second), &[]).await;
    assert!(out.cookie.unwrap().contains("Max-Age=0"));
    assert_eq!(desk.get("/", Some(&second)).await.status, 303);
    assert_eq!(test.places(&second).await, [""; 0], "only its hash is kept");
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let cookie = desk.enter(&erin).await;
    test.advance(SignedDuration::from_secs(30 * 60 - 1));
    assert_eq!(desk.get("/", Some(&cookie)).await.status, 200);
    test.advance(SignedDuration::from_mins(20));
    let live = desk.look_on("/", &cookie).await;
    assert_eq!(live.status, 200, "a page that keeps itself up to date");
    test.advance(SignedDuration::from_mins(10));
    assert_eq!(desk.look_on("/", &cookie).await.status, 303, "is no sign that somebody is there");
    assert_eq!(desk.get("/", Some(&cookie)).await.status, 303, "idle");

    let cookie = desk.enter(&erin).await;
    for _ in 0..28 {
        test.advance(SignedDuration::from_mins(25));
        assert_eq!(desk.get("/", Some(&cookie)).await.status, 200);
    }
    test.advance(SignedDuration::from_mins(21));
    assert_eq!(desk.get("/", Some(&cookie)).await.status, 303, "after twelve hours");
}

#[tokio::test]
async fn browsers_are_listed_and_signed_out_by_their_owner_alone() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let dana = desk.staff("Dana", Role::Admin).await;
    let (one, other) = (desk.enter(&erin).await, desk.enter(&erin).await);
    let danas = desk.enter(&dana).await;
    let page = desk.get("/sessions", Some(&one)).await.body;
    assert!(page.contains("this one") && page.contains("127.0.0.1"), "{page}");
    let action = page.split("action=\"/sessions/").nth(1).unwrap();
    let end = format!("/sessions/{}", action.split('"').next().unwrap());
    assert_eq!(desk.post(&end, Some(&danas), &[]).await.status, 404, "it is not hers");
    assert_eq!(desk.post(&end, Some(&one), &[]).await.status, 303);
    assert_eq!(desk.post(&end, Some(&one), &[]).await.status, 404, "it is over");
    assert_eq!(desk.get("/", Some(&other)).await.status, 303);
    assert_eq!(desk.get("/", Some(&one)).await.status, 200);
}

#[tokio::test]
async fn forms_of_other_sites_do_nothing() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let cookie = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let own = format!("http://{}", desk.address);
    for (headers, allowed) in [
        (vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], false),
        (vec![("sec-fetch-site", "same-site")], false),
        (vec![("origin", "https://evil.example")], false),
        (vec![("origin", "null")], false),
        // A browser says at least one of the two.
        (vec![], false),
        (vec![("origin", own.as_str())], true),
    ] {
        let out = desk.post_saying("/sign-out", Some(&cookie), &[], &headers).await;
        assert_eq!(out.status == 303, allowed, "{headers:?}: {}", out.status);
        if allowed {
            continue;
        }
        assert_eq!(out.status, 403);
        assert!(out.body.contains("did not come from the console"), "{}", out.body);
        assert_eq!(desk.get("/", Some(&cookie)).await.status, 200, "nothing was changed");
    }
    // So are those that sign somebody in as another.
    let foreign = [("sec-fetch-site", "cross-site")];
    assert_eq!(desk.post_saying("/sign-in", None, &[], &foreign).await.status, 403);
}

#[tokio::test]
async fn every_answer_is_framed_by_nobody_and_kept_nowhere() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let cookie = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    for (path, cookie) in [
        ("/", Some(cookie.as_str())),
        ("/", None),
        ("/sign-in", None),
        ("/console.css", None),
        ("/console.js", None),
        ("/no/such/page", Some(&cookie)),
    ] {
        let answer = desk.get(path, cookie).await;
        let policy = &answer.headers["content-security-policy"];
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.to_str().unwrap().contains(part), "{path}: {policy:?}");
        }
        assert!(!policy.to_str().unwrap().contains("unsafe"));
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers[name], value, "{path}: {name}");
        }
        let page = &answer.body;
        let page = &page.replace("<script src=\"/console.js\" defer></script>", "");
        assert!(!page.contains("<script") && !page.contains(" style=") && !page.contains("<style"));
        assert!(!page.contains("http://") && !page.contains("https://"), "nothing from elsewhere");
    }
    let missing = desk.get("/no/such/page", Some(&cookie)).await;
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("There is nothing here"));
}
