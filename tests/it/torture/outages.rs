//! The webhook is away for ten minutes, again and again; the carrier's list has what was said.

use jiff::SignedDuration;
use maskline::carrier::simulator::Faults;

use super::{print, size, turn};
use crate::reconcile::{minutes, round, since, started, webhook};

#[tokio::test]
async fn whatever_was_said_in_outages_of_the_webhook_is_recovered_while_talk_goes_on() {
    let _turn = turn().await;
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    let before = [ann.inbox().len(), ben.inbox().len()];
    let outages = size(2, 20);
    let (mut said, mut lost) = (0, Vec::new());
    let talk = async |said: usize| {
        ann.texts(&format!("ann {said}")).await;
        ben.texts(&format!("ben {said}")).await;
        test.deliver().await;
        test.advance(SignedDuration::from_secs(30));
        if said % 2 == 1 {
            round(&test).await;
        }
    };
    for _ in 0..outages {
        webhook(&test, false);
        for _ in 0..20 {
            lost.push(said);
            talk(said).await;
            said += 1;
        }
        // It comes back, and may bring texts twice. Nobody waits for what has not come yet.
        test.faults(Faults { duplicate: 0.5, copies: 3, ..Faults::default() });
        for _ in 0..10 {
            talk(said).await;
            said += 1;
        }
    }
    minutes(&test, 4).await;
    let received = "select count(*) from audit_record
        where kind = 'received' and detail like 'reconciled, %'";
    let recovered: i64 = test.value(received).await;
    let (heard_by_ben, heard_by_ann) = (since(&ben, before[1]), since(&ann, before[0]));
    let overtaken = [("ann", heard_by_ben), ("ben", heard_by_ann)]
        .map(|(who, heard)| in_order_but_for_what_is_late(who, &heard, said, &lost));
    print(
        "outages",
        format_args!(
            "{outages} outages, {} texts not brought, {recovered} recovered, {} overtaken by later ones",
            2 * lost.len(),
            overtaken.iter().sum::<usize>(),
        ),
    );
    assert_eq!(usize::try_from(recovered).unwrap(), 2 * lost.len());
    // Those of the last minutes of each outage.
    assert!(overtaken.iter().all(|count| *count >= outages), "{overtaken:?}");
}

/// All that was said was heard, once; what was recovered is in order among itself, and so is the rest.
/// What a later text has overtaken says so, and nothing else does. Gives how many that are.
fn in_order_but_for_what_is_late(
    who: &str,
    heard: &[String],
    said: usize,
    lost: &[usize],
) -> usize {
    let heard: Vec<(usize, bool)> = heard
        .iter()
        .map(|text| {
            let (note, words) = text.split_once(" UTC: ").unwrap_or(("", text));
            let number = words.strip_prefix(&format!("{who} ")).unwrap().parse().unwrap();
            assert!(note.is_empty() || note.starts_with("Delayed text from "), "{text}");
            (number, !note.is_empty())
        })
        .collect();
    let (recovered, live): (Vec<usize>, Vec<usize>) =
        heard.iter().map(|it| it.0).partition(|number| lost.contains(number));
    assert_eq!(recovered, lost);
    assert!(live.is_sorted(), "{live:?}");
    assert_eq!(live.len() + lost.len(), said);
    let mut latest = 0;
    for (number, has_note) in &heard {
        assert_eq!(*has_note, *number < latest, "{who} {number}: {heard:?}");
        latest = latest.max(*number);
    }
    heard.iter().filter(|it| it.1).count()
}
