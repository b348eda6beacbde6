//! What a text does that comes late: it is judged by when it was sent.

use jiff::SignedDuration;

use super::{lost, minutes, received, round, since, started, webhook, with};

#[tokio::test]
async fn a_text_that_was_overtaken_says_when_it_was_sent() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    let before = ben.inbox().len();
    lost(&test, &ann, "first").await;
    test.advance(SignedDuration::from_secs(30));
    ann.texts("second").await;
    minutes(&test, 4).await;
    assert_eq!(since(&ben, before), ["second", "Delayed text from 1 Mar 12:00 UTC: first"]);
}

#[tokio::test]
async fn in_its_order_and_minutes_late_a_text_is_passed_on_as_it_is() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("first").await;
    test.deliver().await;
    test.advance(SignedDuration::from_secs(1));
    let before = ben.inbox().len();
    lost(&test, &ann, "second").await;
    minutes(&test, 4).await;
    ann.texts("third").await;
    test.deliver().await;
    assert_eq!(since(&ben, before), ["second", "third"]);
}

#[tokio::test]
async fn very_long_words_are_passed_on_without_a_note() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    let long = "long ".repeat(300);
    lost(&test, &ann, &long).await;
    test.advance(SignedDuration::from_hours(1));
    round(&test).await;
    assert_eq!(ben.last(), long);
}

#[tokio::test]
async fn an_operator_may_want_late_words_on_record_only() {
    let test = with(&[("MASKLINE_LATE_INBOUND", "record")]).await;
    let (ann, ben) = test.conversation().await;
    let before = [ann.inbox().len(), ben.inbox().len()];
    lost(&test, &ann, "late").await;
    lost(&test, &ann, "late too").await;
    lost(&test, &ann, "HELP").await;
    minutes(&test, 4).await;
    assert_eq!((received(&test, "late").await, received(&test, "late too").await), (1, 1));
    assert_eq!(ben.inbox().len(), before[1]);
    let told = since(&ann, before[0]);
    assert_eq!(told.len(), 2, "once of what was late, and the answer to HELP: {told:?}");
    let late = told.iter().find(|text| text.contains("reached us late")).unwrap();
    assert!(late.starts_with("What you texted at 1 Mar 12:00 UTC"), "{late}");
    ann.texts("in time").await;
    test.deliver().await;
    assert_eq!(ben.last(), "in time");
}

#[tokio::test]
async fn an_opt_out_is_never_too_late() {
    for word in ["STOP", "UNSUBSCRIBE", "END K7QM-4XRT"] {
        let test = with(&[("MASKLINE_LATE_INBOUND", "record")]).await;
        let (ann, ben) = test.conversation().await;
        lost(&test, &ben, word).await;
        test.advance(SignedDuration::from_hours(20));
        round(&test).await;
        assert_eq!(test.value::<i64>("select count(*) from suppression").await, 1, "{word}");
        assert_eq!(ann.last(), "This conversation has ended.");
    }
}

#[tokio::test]
async fn an_opt_out_does_not_undo_the_consent_that_came_after_it() {
    for gap in [1, 300] {
        let test = started().await;
        let (ann, ben) = test.conversation().await;
        test.advance(SignedDuration::from_secs(1));
        lost(&test, &ben, "UNSUBSCRIBE").await;
        test.advance(SignedDuration::from_secs(gap));
        ben.on_the_other_number().texts("START").await;
        test.deliver().await;
        minutes(&test, 4).await;
        assert_eq!(received(&test, "UNSUBSCRIBE").await, 1);
        assert_eq!(test.value::<i64>("select count(*) from suppression").await, 0);
        ann.texts("still there?").await;
        test.deliver().await;
        assert_eq!(ben.last(), "still there?");
    }
}

#[tokio::test]
async fn a_consent_does_not_undo_the_opt_out_that_came_after_it() {
    for word in ["START", "YES", "UNSTOP"] {
        let test = started().await;
        let (_, ben) = test.conversation().await;
        ben.texts("UNSUBSCRIBE").await;
        test.deliver().await;
        test.advance(SignedDuration::from_secs(1));
        lost(&test, &ben, word).await;
        test.advance(SignedDuration::from_secs(1));
        ben.texts("REVOKE").await;
        test.deliver().await;
        let before = ben.inbox().len();
        minutes(&test, 5).await;
        let came = "select body from audit_record where detail like 'reconciled%'";
        assert_eq!(test.column(came).await, [word]);
        assert_eq!(test.value::<i64>("select count(*) from suppression").await, 1, "{word}");
        assert_eq!(ben.inbox().len(), before, "nor is it answered");
    }
}

#[tokio::test]
async fn the_last_word_counts_where_both_are_late() {
    for (first, last, silent) in [("UNSUBSCRIBE", "START", 0), ("START", "UNSUBSCRIBE", 1)] {
        let test = started().await;
        let (_, ben) = test.conversation().await;
        test.advance(SignedDuration::from_secs(1));
        lost(&test, &ben, first).await;
        test.advance(SignedDuration::from_secs(1));
        lost(&test, &ben, last).await;
        minutes(&test, 4).await;
        assert_eq!(test.value::<i64>("select count(*) from suppression").await, silent, "{last}");
    }
}

#[tokio::test]
async fn a_webhook_that_came_late_itself_is_put_in_its_place() {
    let test = started().await;
    let (_, ben) = test.conversation().await;
    // START is sent first, and its webhook comes after STOP was sent.
    webhook(&test, false);
    ben.on_the_other_number().texts("START").await;
    test.advance(SignedDuration::from_secs(10));
    ben.texts("UNSUBSCRIBE").await;
    webhook(&test, true);
    test.advance(SignedDuration::from_secs(60));
    let sent = &test.simulator.ledger().inbound;
    let start = sent.iter().rev().find(|text| text.body == "START").unwrap();
    let start = crate::support::flat(&start.id, &ben.number, crate::support::OTHER_NUMBER, "START");
    assert_eq!(test.post(&start).await, 200);
    test.deliver().await;
    minutes(&test, 4).await;
    assert_eq!(test.value::<i64>("select count(*) from suppression").await, 1);
}

#[tokio::test]
async fn words_never_reach_somebody_whom_the_sender_did_not_mean() {
    for word in ["meet me at five", "LEAVE", "BLOCK", "EXTEND"] {
        let test = started().await;
        let (ann, ben) = test.conversation().await;
        test.advance(SignedDuration::from_secs(1));
        lost(&test, &ann, word).await;
        test.advance(SignedDuration::from_secs(1));
        ben.texts("LEAVE").await;
        let code = ann.starts().await;
        let carl = test.phone("+12065550199");
        carl.texts(&format!("JOIN {code}")).await;
        test.deliver().await;
        let before = [carl.inbox().len(), ben.inbox().len()];
        minutes(&test, 4).await;
        assert_eq!([carl.inbox().len(), ben.inbox().len()], before, "{word}");
        assert!(ann.last().contains("reached us late"), "{word}: {}", ann.last());
        ann.texts("hello Carl").await;
        test.deliver().await;
        assert_eq!(carl.last(), "hello Carl", "{word} changed nothing");
    }
}

#[tokio::test]
async fn a_whole_conversation_that_began_without_webhook_is_caught_up_with() {
    let test = started().await;
    let (ann, ben) = (test.ann(), test.ben());
    let code = ann.starts().await;
    test.advance(SignedDuration::from_secs(1));
    let before = ann.inbox().len();
    for text in [format!("JOIN {code}"), "hello".to_owned(), "anybody?".to_owned()] {
        lost(&test, &ben, &text).await;
        test.advance(SignedDuration::from_secs(5));
    }
    minutes(&test, 4).await;
    let said = since(&ann, before);
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[1..], ["hello", "anybody?"]);
}

#[tokio::test]
async fn late_words_after_the_end_reach_nobody() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    lost(&test, &ann, "wait").await;
    test.advance(SignedDuration::from_secs(1));
    ben.texts("LEAVE").await;
    test.deliver().await;
    let before = ben.inbox().len();
    minutes(&test, 4).await;
    assert_eq!(ben.inbox().len(), before);
    assert!(ann.last().starts_with("Your conversation here is over"), "{}", ann.last());
}

#[tokio::test]
async fn what_the_list_shows_late_is_found_for_15_minutes() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    minutes(&test, 20).await;
    // The watermark stays 3 minutes behind, and the overlap begins there.
    for seconds in [14 * 60, (3 + 14) * 60 + 30] {
        let (late, before) = (SignedDuration::from_secs(seconds), ben.inbox().len());
        test.advance(-late);
        lost(&test, &ann, &format!("shown {seconds} s late")).await;
        test.advance(late);
        minutes(&test, 1).await;
        let came = since(&ben, before);
        assert!(
            came.len() == 1 && came[0].ends_with(&format!("shown {seconds} s late")),
            "{came:?}"
        );
    }
}
