//! What was said in one conversation is never heard in another, however long it was held up.

use jiff::SignedDuration;
use maskline::carrier::simulator::Faults;

use crate::support::{Phone, TestApp};

const WORDS: &str = "for your eyes only";

/// Ben's words for Ann are held up by the carrier, and she leaves meanwhile.
async fn held_up(test: &TestApp) -> (Phone<'_>, Phone<'_>) {
    let (ann, ben) = test.conversation().await;
    test.faults(Faults { error: 1.0, ..Faults::default() });
    ben.texts(WORDS).await;
    test.deliver().await;
    test.faults(Faults::default());
    ann.texts("LEAVE").await;
    (ann, ben)
}

async fn a_minute_later(test: &TestApp) {
    test.advance(SignedDuration::from_mins(1));
    test.deliver().await;
}

#[tokio::test]
async fn words_that_were_held_up_never_arrive_in_the_next_conversation_on_that_number() {
    let test = TestApp::start().await;
    let (ann, ben) = held_up(&test).await;
    let code = ann.starts().await;
    test.phone("+12065550111").texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    a_minute_later(&test).await;
    assert!(!ann.inbox().contains(&WORDS.to_owned()), "{:?}", ann.inbox());
    assert!(ben.last().contains(WORDS), "their author is told: {:?}", ben.inbox());
    let dropped = "select detail from audit_record where kind = 'dropped'";
    assert_eq!(test.column(dropped).await, ["crossed"]);
}

#[tokio::test]
async fn words_that_were_held_up_still_arrive_where_they_cross_nobody() {
    for then in ["nothing", "a code that waits", "the same two again", "another number"] {
        let test = TestApp::start().await;
        let (ann, ben) = held_up(&test).await;
        match then {
            "a code that waits" => drop(ann.starts().await),
            "the same two again" => {
                ann.texts("REOPEN").await;
                test.deliver().await;
                ben.texts("REOPEN").await;
            }
            "another number" => {
                let code = ann.on_the_other_number().starts().await;
                test.phone("+12065550111").texts(&format!("JOIN {code}")).await;
            }
            _ => {}
        }
        test.deliver().await;
        a_minute_later(&test).await;
        assert!(ann.inbox().contains(&WORDS.to_owned()), "{then}: {:?}", ann.inbox());
    }
}
