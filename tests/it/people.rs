//! What people do about each other: BLOCK, REPORT, and a plea inside a longer text.

use jiff::SignedDuration;

use crate::support::{Phone, TestApp};

const ENDED: &str = "This conversation has ended.";
const BLOCKED: &str = "Done. You two are not connected any more, and never will be again \
                       on our numbers. They are not told who ended it.";
const REPORTED: &str = "Thank you, our staff will look at it. You two are not connected any more, \
                        and never will be again on our numbers.";
const CODE_FAILED: &str = "Sorry, that code does not work. Please check it with whoever gave \
                           it to you, or text START to get a new one.";

/// Texts JOIN and the code of a conversation that the first has just started, and returns the answer.
async fn joins(test: &TestApp, starter: &Phone<'_>, joiner: &Phone<'_>) -> String {
    let code = starter.starts().await;
    joiner.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    let answer = joiner.last();
    starter.texts("LEAVE").await;
    test.deliver().await;
    answer
}

async fn kept_apart(test: &TestApp, ann: &Phone<'_>, ben: &Phone<'_>) {
    for (starter, joiner) in [
        (ann.clone(), ben.clone()),
        (ben.clone(), ann.clone()),
        (ann.on_the_other_number(), ben.clone()),
        (ben.on_the_other_number(), ann.on_the_other_number()),
    ] {
        assert_eq!(joins(test, &starter, &joiner).await, CODE_FAILED);
        let open = test.value::<i64>("select count(*) from conversation where state = 'active'");
        assert_eq!(open.await, 0);
    }
    assert_eq!(joins(test, &test.phone("+12065550199"), ann).await.find("Connected"), Some(10));
}

#[tokio::test]
async fn who_is_blocked_hears_that_it_ended_and_never_meets_the_other_again() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ben.texts("BLOCK").await;
    ann.texts("why?").await;
    test.deliver().await;
    assert_eq!(ben.last(), BLOCKED);
    let heard = ann.inbox();
    assert_eq!(heard[heard.len() - 2], ENDED, "as if they had left");
    assert!(ann.last().starts_with("Your conversation here is over"), "{heard:?}");
    for phone in [&ann, &ben] {
        phone.texts("REOPEN").await;
        test.deliver().await;
        assert!(phone.last().starts_with("Your conversation opens again if"), "{}", phone.last());
    }
    kept_apart(&test, &ann, &ben).await;
    let reason: String =
        test.value("select end_reason from conversation order by opened_at limit 1").await;
    assert_eq!(reason, "blocked");
}

#[tokio::test]
async fn a_code_of_somebody_blocked_is_answered_like_a_wrong_one_and_counted_like_one() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("block").await;
    test.deliver().await;
    let code = ann.starts().await;
    for code in ["K7QM-4XRT", &code] {
        let before = test.trail().await.len();
        ben.texts(&format!("JOIN {code}")).await;
        let trail = test.trail().await;
        test.deliver().await;
        assert_eq!(trail[before..], ["received join", "code_failed", "answered code_failed"]);
        assert_eq!(ben.last(), CODE_FAILED);
    }
    assert_eq!(test.value::<i64>("select count(*) from code_failure").await, 2);
}

#[tokio::test]
async fn block_works_after_the_end_too_and_the_other_hears_nothing_of_it() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("LEAVE").await;
    test.advance(SignedDuration::from_hours(48));
    test.deliver().await;
    let heard = ann.inbox().len();
    ben.texts("BLOCK").await;
    test.deliver().await;
    assert_eq!((ben.last().as_str(), ann.inbox().len()), (BLOCKED, heard));
    kept_apart(&test, &ann, &ben).await;
}

#[tokio::test]
async fn block_in_nothing_does_nothing() {
    let test = TestApp::start().await;
    for word in ["BLOCK", "REPORT"] {
        test.ann().texts(word).await;
        test.deliver().await;
        assert!(
            test.ann()
                .last()
                .ends_with("so nothing was done. Text START to open one, or HELP for help.")
        );
    }
    assert_eq!(test.value::<i64>("select count(*) from block").await, 0);
    assert_eq!(test.value::<i64>("select count(*) from task").await, 0);
}

#[tokio::test]
async fn a_report_calls_staff_with_all_that_was_said_the_word_itself_included() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("send money or else").await;
    test.deliver().await;
    ben.texts("REPORT").await;
    test.deliver().await;
    assert_eq!((ben.last().as_str(), ann.last().as_str()), (REPORTED, ENDED));

    let of_task = |what: &str| format!("select {what} from task where kind = 'report'");
    assert_eq!(test.value::<i64>(&of_task("count(*)")).await, 1);
    let due: String = test.value(&of_task("(due_at - raised_at)::text")).await;
    assert_eq!(due, "1 day", "the next business day: it was a Sunday");
    let said = test
        .column(
            "select a.body from task t, unnest(t.transcript) with ordinality as said (id, place)
             join audit_record a using (id)
             where a.kind = 'received' order by place",
        )
        .await;
    assert_eq!(said[0], "START");
    assert_eq!(said[2..], ["send money or else", "REPORT"], "{said:?}");
    let missing = test.value::<i64>(
        "select count(*) from audit_record a join task t on t.conversation_id = a.conversation_id
         where a.id <> all (t.transcript) and a.kind not in ('accepted', 'reported', 'delivered')",
    );
    assert_eq!(missing.await, 0);
    let about: bool = test
        .value(&format!(
            "select t.person_id = p.id from task t, person p where p.number = '{}'",
            ben.number.as_str()
        ))
        .await;
    assert!(about, "staff answer to whoever reported");
    kept_apart(&test, &ann, &ben).await;
}

#[tokio::test]
async fn a_plea_inside_talk_is_relayed_and_staff_are_called_once_while_that_is_open() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ben.texts("please stop texting me").await;
    ben.texts("I said please stop texting me!").await;
    test.deliver().await;
    assert_eq!(ann.last(), "I said please stop texting me!");
    let tasks =
        "select kind || ' ' || (due_at at time zone 'utc')::text from task order by raised_at";
    // It is Sunday, the 1st of March: ten business days on it is Friday, the 13th.
    assert_eq!(test.column(tasks).await, ["soft_opt_out 2026-03-13 12:00:00"]);
    let flags =
        "select count(*) from consent_event where kind = 'flagged' and evidence is not null";
    assert_eq!(test.value::<i64>(flags).await, 2, "each of the two is in the ledger");
    assert_eq!(test.value::<i64>("select count(*) from suppression").await, 0);

    test.run("update task set closed_at = now(), outcome = 'talked to them'").await;
    ben.texts("stop texting me please").await;
    test.deliver().await;
    assert_eq!(test.column(tasks).await.len(), 2);
}

#[tokio::test]
async fn french_words_are_answered_in_french() {
    let test = TestApp::start().await;
    let ann = test.ann();
    for (word, answer) in [
        (
            "aide",
            "Maskline: Textos à numéro masqué. START ouvre, JOIN et un code entre, LEAVE quitte, \
             ARRET met fin à tous les textos. Des frais peuvent s'appliquer.",
        ),
        (
            "Arrêt",
            "Maskline: Vous ne recevrez plus de textos de notre part. Pour revenir, textez START.",
        ),
    ] {
        ann.texts(word).await;
        test.deliver().await;
        assert_eq!(ann.last(), answer);
    }
}

#[tokio::test]
async fn words_that_wait_for_whoever_blocks_are_dropped() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("a threat").await;
    ann.texts("another").await;
    ben.texts("BLOCK").await;
    test.deliver().await;
    assert!(!ben.inbox().iter().any(|text| text == "a threat" || text == "another"));
    assert!(ben.last().starts_with("Done."), "{}", ben.last());
    assert_eq!(ann.last(), "This conversation has ended.");
    let dropped = test.column("select detail from audit_record where kind = 'dropped'").await;
    assert_eq!(dropped, ["blocked", "blocked"]);
}
