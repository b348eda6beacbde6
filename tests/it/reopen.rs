//! REOPEN: one asks, the other agrees, both by text and within a day of the end.

use jiff::SignedDuration;

use crate::support::{Phone, TestApp};

const ASKED: &str = "Your conversation opens again if the other person texts REOPEN too, \
                     within 24 h of its end. You will then get a text.";
const WISH: &str = "Maskline: The other person of your last conversation here asks to open it again. \
                    Text REOPEN to agree. HELP for help, STOP to stop.";
const REOPENED: &str = "Maskline: Your conversation is open again; your number stays hidden. \
                        LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop.";
const CANNOT: &str = "There is no conversation here that can be opened again. \
                      Text START to open a new one.";

/// Ann and Ben, whose conversation Ann has just left.
async fn parted(test: &TestApp) -> (Phone<'_>, Phone<'_>) {
    let (ann, ben) = test.conversation().await;
    ann.texts("LEAVE").await;
    test.deliver().await;
    test.advance(SignedDuration::from_mins(1));
    (ann, ben)
}

/// What this phone hears when it texts that.
async fn hears(test: &TestApp, phone: &Phone<'_>, body: &str) -> Vec<String> {
    test.deliver().await;
    let before = phone.inbox().len();
    phone.texts(body).await;
    test.deliver().await;
    phone.inbox().split_off(before)
}

async fn active(test: &TestApp) -> i64 {
    test.value("select count(*) from conversation where state = 'active'").await
}

#[tokio::test]
async fn one_asks_the_other_agrees_and_they_talk_again() {
    let test = TestApp::start().await;
    let (ann, ben) = parted(&test).await;
    assert_eq!(hears(&test, &ann, "REOPEN").await, [ASKED]);
    assert_eq!(ben.last(), WISH);
    assert_eq!(active(&test).await, 0);
    assert_eq!(hears(&test, &ben, "reopen!").await, [REOPENED]);
    assert_eq!(ann.last(), REOPENED);
    ann.texts("so, about the bicycle").await;
    ben.texts("yes?").await;
    test.deliver().await;
    assert_eq!((ann.last(), ben.last()), ("yes?".into(), "so, about the bicycle".into()));
    let follows: bool = test
        .value(
            "select new.reopens = old.id and new.id <> old.id and old.state = 'ended'
             from conversation new, conversation old
             where new.state = 'active' and old.state = 'ended'",
        )
        .await;
    assert!(follows);
    let consents = "select count(*) from consent_event where rule = 'reopen' and kind = 'granted'";
    assert_eq!(test.value::<i64>(consents).await, 1, "who agrees consents anew");
}

#[tokio::test]
async fn however_often_one_asks_the_other_gets_one_wish() {
    let test = TestApp::start().await;
    let (ann, ben) = parted(&test).await;
    let before = ben.inbox().len();
    for _ in 0..5 {
        assert_eq!(hears(&test, &ann, "REOPEN").await, [ASKED]);
    }
    assert_eq!(ben.inbox()[before..], [WISH]);
    assert_eq!(active(&test).await, 0);
}

#[tokio::test]
async fn a_day_after_the_end_it_is_too_late_to_ask_and_to_agree() {
    let test = TestApp::start().await;
    let (ann, ben) = parted(&test).await;
    test.advance(SignedDuration::from_hours(23) + SignedDuration::from_mins(58));
    assert_eq!(hears(&test, &ben, "REOPEN").await, [ASKED]);
    test.advance(SignedDuration::from_mins(1));
    assert_eq!(hears(&test, &ann, "REOPEN").await, [CANNOT]);
    assert_eq!(hears(&test, &ben, "REOPEN").await, [CANNOT]);
    assert_eq!(active(&test).await, 0);
}

#[tokio::test]
async fn who_opted_out_meanwhile_is_not_asked_and_the_asker_hears_no_difference() {
    let test = TestApp::start().await;
    let (ann, ben) = parted(&test).await;
    assert_eq!(hears(&test, &ben, "UNSUBSCRIBE").await.len(), 1);
    let before = ben.inbox().len();
    assert_eq!(hears(&test, &ann, "REOPEN").await, [ASKED]);
    assert_eq!(hears(&test, &ben, "REOPEN").await, [""; 0], "silenced is silenced");
    assert_eq!(ben.inbox().len(), before);
    // Who comes back may agree to what was asked meanwhile.
    hears(&test, &ben, "START").await;
    assert_eq!(hears(&test, &ben, "REOPEN").await, [REOPENED]);
    assert_eq!(active(&test).await, 1);
}

#[tokio::test]
async fn who_asked_and_opted_out_since_is_not_connected_by_the_others_word() {
    let test = TestApp::start().await;
    let (ann, ben) = parted(&test).await;
    hears(&test, &ann, "REOPEN").await;
    hears(&test, &ann, "UNSUBSCRIBE").await;
    let before = ann.inbox().len();
    assert_eq!(hears(&test, &ben, "REOPEN").await, [CANNOT]);
    assert_eq!((ann.inbox().len(), active(&test).await), (before, 0));
}

#[tokio::test]
async fn what_ended_by_an_opt_out_is_not_opened_again_and_the_other_hears_no_difference() {
    let mut heard = Vec::new();
    for word in ["LEAVE", "UNSUBSCRIBE", "BLOCK", "REPORT"] {
        let test = TestApp::start().await;
        let (ann, ben) = test.conversation().await;
        hears(&test, &ben, word).await;
        hears(&test, &ben, "YES").await;
        test.advance(SignedDuration::from_mins(1));
        let before = ben.inbox().len();
        let mut answers = hears(&test, &ann, "hello?").await;
        answers.extend(hears(&test, &ann, "REOPEN").await);
        heard.push(answers);
        if word != "LEAVE" {
            assert_eq!(ben.inbox().len(), before, "{word}: nobody is asked");
            assert_eq!(hears(&test, &ben, "REOPEN").await, [ASKED]);
            assert_eq!(hears(&test, &ann, "REOPEN").await, [ASKED]);
            assert_eq!(active(&test).await, 0);
        }
    }
    assert_eq!(heard[0][1..], [ASKED]);
    assert!(heard.iter().all(|answers| *answers == heard[0]), "{heard:#?}");
}

#[tokio::test]
async fn who_is_blocked_meanwhile_hears_no_difference_and_nothing_comes_of_it() {
    let test = TestApp::start().await;
    let (ann, ben) = parted(&test).await;
    hears(&test, &ben, "BLOCK").await;
    let before = ben.inbox().len();
    assert_eq!(hears(&test, &ann, "REOPEN").await, [ASKED]);
    assert_eq!(ben.inbox().len(), before);
    assert_eq!(hears(&test, &ben, "REOPEN").await, [CANNOT]);
    assert_eq!(active(&test).await, 0);
}

#[tokio::test]
async fn who_is_in_another_conversation_there_is_not_asked() {
    let test = TestApp::start().await;
    let (ann, ben) = parted(&test).await;
    let code = ben.starts().await;
    let before = ben.inbox().len();
    assert_eq!(hears(&test, &ann, "REOPEN").await, [ASKED]);
    assert_eq!(ben.inbox().len(), before);
    assert_eq!(hears(&test, &ben, "REOPEN").await.len(), 1);
    assert!(ben.last().contains(&code), "{}", ben.last());
    hears(&test, &ben, "LEAVE").await;
    assert_eq!(hears(&test, &ben, "REOPEN").await, [REOPENED]);

    // The other way round: the one who asked is busy when the other agrees.
    hears(&test, &ann, "LEAVE").await;
    hears(&test, &ann, "REOPEN").await;
    ann.starts().await;
    assert_eq!(hears(&test, &ben, "REOPEN").await, [CANNOT]);
    assert_eq!(active(&test).await, 0);
}

#[tokio::test]
async fn both_at_the_same_moment_open_one_conversation() {
    let test = TestApp::start().await;
    for _ in 0..8 {
        let (ann, ben) = parted(&test).await;
        futures_util::join!(
            ann.texts("REOPEN"),
            ben.texts("REOPEN"),
            ann.texts("REOPEN"),
            ben.texts("REOPEN"),
        );
        test.deliver().await;
        assert_eq!(active(&test).await, 1);
        let told = |phone: &Phone<'_>| phone.inbox().contains(&REOPENED.to_owned());
        assert!(told(&ann) && told(&ben));
        ann.texts("LEAVE").await;
        test.deliver().await;
        test.advance(SignedDuration::from_hours(1));
    }
}

#[tokio::test]
async fn one_agrees_while_the_other_starts_anew_and_nobody_is_in_two() {
    let test = TestApp::start().await;
    for _ in 0..8 {
        let (ann, ben) = parted(&test).await;
        hears(&test, &ann, "REOPEN").await;
        futures_util::join!(ben.texts("REOPEN"), ann.texts("START"));
        test.deliver().await;
        let seats = "select count(*) from participant p join person on person.id = p.person_id
                     where p.left_at is null and person.number = '+12065550142'";
        assert_eq!(test.value::<i64>(seats).await, 1);
        ann.texts("LEAVE").await;
        test.deliver().await;
    }
}

#[tokio::test]
async fn a_block_at_the_very_moment_of_the_others_consent_leaves_them_apart() {
    let test = TestApp::start().await;
    for n in 0..12 {
        let ann = test.phone(&format!("+120655502{n:02}"));
        let ben = test.phone(&format!("+120655503{n:02}"));
        let code = ann.starts().await;
        ben.texts(&format!("JOIN {code}")).await;
        ann.texts("LEAVE").await;
        ann.texts("REOPEN").await;
        futures_util::join!(ann.texts("BLOCK"), ben.texts("REOPEN"));
        test.deliver().await;
        assert_eq!(active(&test).await, 0);
        assert!(ann.inbox().iter().any(|text| text.starts_with("Done. You two")));
    }
}

#[tokio::test]
async fn nothing_is_opened_again_on_a_number_that_is_being_retired() {
    let test = TestApp::start().await;
    let (ann, ben) = parted(&test).await;
    test.run("update masked_number set state = 'retiring'").await;
    ben.texts("hello?").await;
    assert_eq!(hears(&test, &ann, "REOPEN").await, [CANNOT]);
    assert!(ben.last().contains("is over") && !ben.last().contains("REOPEN"), "{}", ben.last());
}

#[tokio::test]
async fn an_opt_out_at_the_very_moment_of_the_others_consent_leaves_nobody_silenced_seated() {
    let test = TestApp::start().await;
    let people: Vec<_> = (0..12)
        .map(|n| {
            [
                test.phone(&format!("+1206555{:04}", 2 * n)),
                test.phone(&format!("+1206555{:04}", 2 * n + 1)),
            ]
        })
        .collect();
    for [ann, ben] in &people {
        let code = ann.starts().await;
        ben.texts(&format!("JOIN {code}")).await;
        ann.texts("LEAVE").await;
        ann.texts("REOPEN").await;
    }
    test.deliver().await;
    let rounds = people.iter().map(async |[ann, ben]| {
        tokio::join!(ben.texts("REOPEN"), ann.texts("UNSUBSCRIBE"));
    });
    futures_util::future::join_all(rounds).await;
    test.deliver().await;
    let silenced: i64 = test
        .value(
            "select count(*) from participant p join suppression s on s.person_id = p.person_id
             where p.left_at is null",
        )
        .await;
    assert_eq!(silenced, 0);
    assert_eq!(test.value::<i64>("select count(*) from suppression").await, 12);
}

#[tokio::test]
async fn nothing_opens_again_on_a_number_that_takes_no_new_conversations() {
    for state in ["retiring", "quarantined", "reserved"] {
        let test = TestApp::start().await;
        let (ann, ben) = parted(&test).await;
        hears(&test, &ann, "REOPEN").await;
        test.run(&format!("update masked_number set state = '{state}'")).await;
        assert_eq!(hears(&test, &ben, "REOPEN").await, [CANNOT]);
        assert_eq!(active(&test).await, 0);
    }
}

#[tokio::test]
async fn both_at_the_same_moment_never_wait_for_each_other() {
    let test = TestApp::start().await;
    for n in 0..30 {
        let ann = test.phone(&format!("+120655502{n:02}"));
        let ben = test.phone(&format!("+120655503{n:02}"));
        let code = ann.starts().await;
        ben.texts(&format!("JOIN {code}")).await;
        ann.texts("LEAVE").await;
        futures_util::join!(ann.texts("REOPEN"), ben.texts("REOPEN"));
    }
    test.deliver().await;
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(test.value::<i64>(deadlocks).await, 0);
}
