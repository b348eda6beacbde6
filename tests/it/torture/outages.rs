//! The webhook is away for ten minutes, again and again; the carrier's list has what was said.

use jiff::SignedDuration;
use maskline::carrier::simulator::Faults;

use super::{print, size, turn};
use crate::{
    reconcile::{minutes, round, since, started, webhook},
    support::Phone,
};

#[tokio::test]
async fn whatever_was_said_in_outages_of_the_webhook_is_recovered_in_its_order() {
    let _turn = turn().await;
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    let before = [ann.inbox().len(), ben.inbox().len()];
    let outages = size(2, 20);
    let (mut said, mut lost) = (0, 0);
    let talk = async |said: usize| {
        ann.texts(&format!("ann {said}")).await;
        ben.texts(&format!("ben {said}")).await;
    };
    for _ in 0..outages {
        webhook(&test, false);
        for _ in 0..20 {
            talk(said).await;
            said += 1;
            lost += 2;
            test.advance(SignedDuration::from_secs(30));
            if said % 2 == 0 {
                round(&test).await;
            }
        }
        // It comes back, and may bring texts twice.
        test.faults(Faults { duplicate: 0.5, copies: 3, ..Faults::default() });
        minutes(&test, 4).await;
        talk(said).await;
        said += 1;
        test.deliver().await;
    }
    let heard = |phone: &Phone<'_>, before| since(phone, before);
    let expected = |who: &str| (0..said).map(|n| format!("{who} {n}")).collect::<Vec<_>>();
    let received = "select count(*) from audit_record
        where kind = 'received' and detail like 'reconciled, %'";
    let recovered: i64 = test.value(received).await;
    print(
        "outages",
        format_args!("{outages} outages, {lost} texts not brought, {recovered} recovered"),
    );
    assert_eq!(heard(&ben, before[1]), expected("ann"));
    assert_eq!(heard(&ann, before[0]), expected("ben"));
    assert_eq!(usize::try_from(recovered).unwrap(), lost);
}
