//! A fresh code that clashes is drawn again, a bounded number of times.

use std::net::SocketAddr;

use maskline::code::{Code, Randomness};

use crate::support::{NUMBER, Phone, TestApp, code_in, flat};

/// The seed of `TestApp`'s codes.
const SEED: u64 = 1;

fn drawn(count: usize) -> Vec<Code> {
    let randomness = Randomness::seeded(SEED);
    (0..count).map(|_| randomness.draw_code().unwrap()).collect()
}

/// Texts START at this door, and returns the code in the answer, if there is one.
async fn start_at(test: &TestApp, door: SocketAddr, id: &str, phone: &Phone<'_>) -> Option<String> {
    let url =
        test.url("/api/message/{secret}").replace(&test.public.to_string(), &door.to_string());
    let start = flat(id, &phone.number, NUMBER, "START");
    assert_eq!(test.http.post(url).json(&start).send().await.unwrap().status(), 200);
    test.deliver().await;
    code_in(&phone.last())
}

/// Opens a conversation of nobody's with this code, behind Maskline's back.
async fn take(test: &TestApp, code: &Code) {
    test.run(&format!(
        "insert into conversation (id, code, code_expires_at, state, opened_at)
         values (gen_random_uuid(), '{}', now(), 'waiting', now())",
        code.as_str()
    ))
    .await;
}

#[tokio::test]
async fn a_code_that_is_taken_is_drawn_again() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    let second_process = test.another(SEED).await;
    let codes: Vec<_> = drawn(2).iter().map(|code| Some(code.to_string())).collect();

    assert_eq!(start_at(&test, test.public, "1", &ann).await, codes[0]);
    // It draws the same code first, and must draw another.
    assert_eq!(start_at(&test, second_process, "2", &ben).await, codes[1]);
    let open = test.column("select code from conversation where state = 'waiting' order by id");
    assert_eq!(open.await, drawn(2).iter().map(Code::as_str).collect::<Vec<_>>());
    let opened = test.column("select kind from audit_record where kind = 'opened'").await.len();
    assert_eq!(opened, 2, "a draw that failed leaves no record");
}

#[tokio::test]
async fn the_last_draw_of_five_is_as_good_as_the_first() {
    let test = TestApp::start().await;
    let codes = drawn(5);
    for code in &codes[..4] {
        take(&test, code).await;
    }
    assert_eq!(test.ann().starts().await, codes[4].to_string());
}

#[tokio::test]
async fn when_every_draw_clashes_nothing_is_opened_and_the_sender_is_asked_to_try_later() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    for code in &drawn(5) {
        take(&test, code).await;
    }
    ann.texts("START").await;
    test.deliver().await;
    assert_eq!(ann.inbox().len(), 1);
    assert!(ann.last().contains("again in a few minutes"), "{}", ann.last());
    assert_eq!(test.trail().await[..2], ["received start", "answered try_later"]);
    let seats: i64 = test.value("select count(*) from participant").await;
    let conversations: i64 = test.value("select count(*) from conversation").await;
    assert_eq!((seats, conversations), (0, 5));

    // Later is better: the sequence goes on.
    let code = ann.starts().await;
    ben.texts(&format!("JOIN {code}")).await;
    ben.texts("here I am").await;
    test.deliver().await;
    assert_eq!(ann.last(), "here I am");
}

#[tokio::test]
async fn an_expired_code_ends_once_however_often_is_drawn() {
    let test = TestApp::start().await;
    let ann = test.ann();
    ann.starts().await;
    test.advance(jiff::SignedDuration::from_hours(24));
    let codes = drawn(3);
    take(&test, &codes[1]).await;
    assert_eq!(ann.starts().await, codes[2].to_string());
    let ended = test.trail().await.iter().filter(|kind| kind.starts_with("ended")).count();
    assert_eq!(ended, 1);
}
