//! Whoever guesses codes is slowed down, by all replicas alike, and staff hear of it.

use std::net::SocketAddr;

use jiff::SignedDuration;

use crate::support::{NUMBER, Phone, TestApp, Wishes, flat};

const CODE_FAILED: &str = "Sorry, that code does not work. Please check it with whoever gave \
                           it to you, or text START to get a new one.";

async fn guesses(test: &TestApp, phone: &Phone<'_>, times: usize) {
    for _ in 0..times {
        phone.texts("JOIN K7QM-4XRT").await;
    }
    test.deliver().await;
}

/// Texts at the door of another replica.
async fn texts_at(test: &TestApp, door: SocketAddr, phone: &Phone<'_>, id: &str, body: &str) {
    let url =
        test.url("/api/message/{secret}").replace(&test.public.to_string(), &door.to_string());
    let text = flat(id, &phone.number, NUMBER, body);
    assert_eq!(test.http.post(url).json(&text).send().await.unwrap().status(), 200);
    test.deliver().await;
}

#[tokio::test]
async fn after_five_failures_in_an_hour_there_is_silence_even_for_the_right_code() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    let code = ann.starts().await;
    guesses(&test, &ben, 7).await;
    assert_eq!(ben.inbox(), [CODE_FAILED; 5]);
    ben.texts(&format!("JOIN {code}")).await;
    ben.texts(&format!("MOVE {code}")).await;
    test.deliver().await;
    assert_eq!(ben.inbox().len(), 5);
    assert_eq!(test.value::<i64>("select count(*) from code_failure").await, 5);
    // Nothing but guessing is held back.
    ben.texts("HELP").await;
    test.deliver().await;
    assert_eq!(ben.inbox().len(), 6);

    test.advance(SignedDuration::from_mins(59));
    ben.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    assert_eq!(ben.inbox().len(), 6);
    test.advance(SignedDuration::from_mins(1));
    ben.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    assert!(ben.last().contains("Connected"), "{}", ben.last());
    assert_eq!(test.value::<i64>("select count(*) from task").await, 0);
}

#[tokio::test]
async fn a_right_code_takes_nothing_from_the_five() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    guesses(&test, &ben, 4).await;
    let code = ann.starts().await;
    ben.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    assert!(ben.last().contains("Connected"), "{}", ben.last());
}

#[tokio::test]
async fn two_replicas_count_as_one() {
    let test = TestApp::start().await;
    let ben = test.ben();
    let other = test.another(2).await;
    for n in 0..4 {
        let door = if n % 2 == 0 { test.public } else { other };
        texts_at(&test, door, &ben, &format!("guess-{n}"), "JOIN K7QM-4XRT").await;
    }
    // The last one that counts, and one too many, at the same moment at both doors.
    futures_util::join!(
        texts_at(&test, test.public, &ben, "guess-here", "JOIN K7QM-4XRT"),
        texts_at(&test, other, &ben, "guess-there", "JOIN K7QM-4XRT"),
    );
    assert_eq!(ben.inbox(), [CODE_FAILED; 5]);
}

#[tokio::test]
async fn the_sweeper_forgets_what_counts_no_more() {
    let test = TestApp::start().await;
    guesses(&test, &test.ben(), 2).await;
    test.ann().starts().await;
    test.ann().texts("MOVE").await;
    test.advance(SignedDuration::from_mins(59));
    test.sweep().await;
    let left = "select (select count(*) from code_failure) + 10 * (select count(*) from move_code)";
    assert_eq!(test.value::<i64>(left).await, 2);
    test.advance(SignedDuration::from_mins(1));
    test.sweep().await;
    assert_eq!(test.value::<i64>(left).await, 0);
}

#[tokio::test]
async fn when_many_people_guess_staff_are_called_once_and_each_has_one_guess() {
    let settings = [("MASKLINE_CODE_FAILURES_ALARM", "3")];
    let test = TestApp::wishing(Wishes { settings: &settings, ..Wishes::default() }).await;
    let code = test.ann().starts().await;
    let metrics = maskline::telemetry::metrics();
    let tasks = "select count(*) from task where kind = 'guessing'";
    let (ben, cara) = (test.ben(), test.phone("+12065550199"));
    guesses(&test, &ben, 2).await;
    assert_eq!(test.value::<i64>(tasks).await, 0);
    guesses(&test, &cara, 1).await;
    assert_eq!(test.value::<i64>(tasks).await, 1);
    let task = "select person_id is null and conversation_id is null and closed_at is null
                    and due_at = raised_at + interval '1 hour' and carrier_id is not null
                from task";
    assert!(test.value::<bool>(task).await, "it is about nobody in particular, and soon");

    let (dan, eve) = (test.phone("+12065550198"), test.phone("+12065550197"));
    guesses(&test, &dan, 2).await;
    assert_eq!(dan.inbox(), [CODE_FAILED], "one guess each while it lasts");
    for phone in [&ben, &dan] {
        phone.texts(&format!("JOIN {code}")).await;
        test.deliver().await;
        assert_eq!(phone.last(), CODE_FAILED, "even with the right code");
    }
    // Who has made no mistake notices nothing.
    eve.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    assert!(eve.last().contains("Connected"), "{}", eve.last());
    assert_eq!(test.value::<i64>(tasks).await, 1, "staff know");

    test.advance(SignedDuration::from_hours(1));
    guesses(&test, &ben, 2).await;
    assert_eq!(ben.inbox().len(), 4, "the alarm is over with its hour");
    assert!(metrics.render().contains("\nmaskline_code_alarm_total "), "{}", metrics.render());
}
