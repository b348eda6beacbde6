//! What happens when nobody texts: codes expire, silences and long conversations end, nobody is
//! surprised.

use std::sync::Arc;

use jiff::SignedDuration;
use maskline::{
    app::App,
    clock::Clock,
    conversation::terms::{self, Change},
    ids::ConversationId,
    sweeper,
};
use secrecy::SecretString;

use crate::support::{Phone, TestApp, at, code_in};

const SOON: &str = "Nobody has texted here for long, so this conversation ends in 1 hour. \
                    Text EXTEND to keep it.";
const ENDED: &str = "This conversation has ended.";
const OVER: &str = "Your conversation here is over, so this was not passed on. Text START to open a new one, \
                    or REOPEN to ask for the old one.";

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// How often this phone got exactly this.
fn count(phone: &Phone<'_>, body: &str) -> usize {
    phone.inbox().iter().filter(|text| *text == body).count()
}

async fn states(test: &TestApp) -> Vec<String> {
    let sql =
        "select state || coalesce(' ' || end_reason, '') from conversation order by opened_at, id";
    test.column(sql).await
}

async fn only_id(test: &TestApp) -> ConversationId {
    test.value("select id from conversation").await
}

#[tokio::test]
async fn a_code_expires_by_itself_after_a_day() {
    let test = TestApp::start().await;
    let ann = test.ann();
    ann.starts().await;
    test.advance(hours(24) - minutes(1));
    test.sweep().await;
    assert_eq!(states(&test).await, ["waiting"]);
    test.advance(minutes(1));
    test.sweep().await;
    assert_eq!(states(&test).await, ["ended expired"]);
    assert_eq!(ann.inbox().len(), 1, "nobody is told: it waited for nobody");
    assert_eq!(test.trail().await.last().unwrap(), "ended");
    let detail: String = test.value("select detail from audit_record where kind = 'ended'").await;
    assert_eq!(detail, "expired");
}

#[tokio::test]
async fn an_hour_before_a_silence_ends_it_each_is_told_once() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.advance(hours(71) - minutes(1));
    test.sweep().await;
    assert_eq!((count(&ann, SOON), count(&ben, SOON)), (0, 0));
    test.advance(minutes(1));
    for _ in 0..3 {
        test.sweep().await;
        test.advance(minutes(10));
    }
    assert_eq!((count(&ann, SOON), count(&ben, SOON)), (1, 1));
    assert_eq!(states(&test).await, ["active"]);
    test.advance(minutes(30));
    test.sweep().await;
    assert_eq!(states(&test).await, ["ended silence"]);
    assert_eq!((ann.last(), ben.last()), (SOON.to_owned(), SOON.to_owned()), "they know it");
}

#[tokio::test]
async fn extend_keeps_it_and_the_next_silence_is_announced_again() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.advance(hours(71));
    test.sweep().await;
    test.advance(minutes(30));
    ben.texts("extend").await;
    test.deliver().await;
    assert_eq!(ben.last(), "This conversation is kept. It ends when nobody has texted for 72 h.");
    test.advance(hours(70));
    test.sweep().await;
    ann.texts("still there?").await;
    test.deliver().await;
    assert_eq!(ben.last(), "still there?");
    // That, too, began the silence anew.
    test.advance(hours(71) - minutes(1));
    test.sweep().await;
    assert_eq!((count(&ann, SOON), count(&ben, SOON)), (1, 1));
    test.advance(minutes(1));
    test.sweep().await;
    assert_eq!((count(&ann, SOON), count(&ben, SOON)), (2, 2));
    test.advance(hours(1));
    test.sweep().await;
    assert_eq!(states(&test).await, ["ended silence"]);
}

#[tokio::test]
async fn a_word_within_the_last_hour_keeps_it() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.advance(hours(71));
    test.sweep().await;
    test.advance(minutes(59));
    ann.texts("wait").await;
    test.advance(minutes(10));
    test.sweep().await;
    assert_eq!(ben.last(), "wait");
    assert_eq!(states(&test).await, ["active"]);
}

#[tokio::test]
async fn nothing_ends_by_silence_without_a_notice_however_long_no_sweeper_ran() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.advance(hours(24 * 10));
    test.sweep().await;
    assert_eq!(states(&test).await, ["active"]);
    assert_eq!((count(&ann, SOON), count(&ben, SOON)), (1, 1));
    test.advance(minutes(59));
    test.sweep().await;
    assert_eq!(states(&test).await, ["active"]);
    test.advance(minutes(1));
    // The text comes before the sweeper does: time has ended it all the same.
    ann.texts("too late").await;
    test.deliver().await;
    assert_eq!(ann.last(), OVER);
    assert_eq!(states(&test).await, ["ended silence"]);
    assert_eq!(ben.last(), SOON);
}

#[tokio::test]
async fn a_late_text_finds_it_alive_where_nobody_was_told() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.advance(hours(24 * 10));
    ann.texts("long time no see").await;
    test.sweep().await;
    assert_eq!(ben.last(), "long time no see");
    assert_eq!(states(&test).await, ["active"]);
}

#[tokio::test]
async fn after_thirty_days_it_ends_and_both_are_told() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    for _ in 0..15 {
        test.advance(hours(47));
        ann.texts("good evening").await;
        test.sweep().await;
    }
    test.advance(hours(15) - minutes(1));
    test.sweep().await;
    assert_eq!(states(&test).await, ["active"]);
    test.advance(minutes(1));
    test.sweep().await;
    assert_eq!(states(&test).await, ["ended longest"]);
    assert_eq!((ann.last(), ben.last()), (ENDED.to_owned(), ENDED.to_owned()));
    assert_eq!((count(&ann, SOON), count(&ann, ENDED), count(&ben, ENDED)), (0, 1, 1));
}

#[tokio::test]
async fn after_the_end_a_text_is_told_so_once_and_then_the_usual() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ben.texts("LEAVE").await;
    test.advance(minutes(1));
    for body in ["are you there?", "hello?", "hello??"] {
        ann.texts(body).await;
        test.deliver().await;
    }
    let heard = ann.inbox();
    assert_eq!(heard[heard.len() - 3..heard.len() - 1], [ENDED, OVER]);
    assert!(ann.last().starts_with("You are in no conversation here"), "{heard:?}");
    test.advance(minutes(9));
    ann.texts("hello???").await;
    test.deliver().await;
    assert_eq!(ann.inbox().len(), heard.len(), "the usual at most every 10 minutes");
    test.advance(minutes(1));
    ann.texts("hello????").await;
    test.deliver().await;
    assert_eq!(ann.inbox().len(), heard.len() + 1);
    assert!(!ben.inbox().iter().any(|text| text.contains("hello")));

    // The next end is told again.
    test.conversation().await;
    ben.texts("LEAVE").await;
    test.advance(minutes(1));
    ann.texts("and now?").await;
    test.deliver().await;
    assert_eq!(ann.last(), OVER);
}

#[tokio::test]
async fn a_conversation_can_have_terms_of_its_own() {
    let test = TestApp::start().await;
    let (ann, _) = test.conversation().await;
    let id = only_id(&test).await;
    let keep = async |terms: Change| {
        let mut conn = test.db.acquire().await.unwrap();
        assert!(terms::change(&mut conn, id, terms, test.app.clock.now()).await.unwrap());
    };
    keep(Change { silence: Some(hours(2)), ends_at: None }).await;
    test.advance(hours(1));
    test.sweep().await;
    assert_eq!(count(&ann, SOON), 1);
    test.advance(minutes(30));
    keep(Change { silence: Some(hours(24 * 7)), ends_at: Some(at("2026-03-05T12:00:00Z")) }).await;
    test.advance(hours(94));
    test.sweep().await;
    assert_eq!(states(&test).await, ["active"]);
    test.advance(minutes(30));
    test.sweep().await;
    assert_eq!(states(&test).await, ["ended longest"]);
    assert_eq!(count(&ann, SOON), 1, "EXTEND would not have kept it, so it was not offered");
    assert_eq!(ann.last(), ENDED);
}

/// So many active conversations, by hand, silent for so long.
async fn many(test: &TestApp, number: i64, silent: SignedDuration) {
    let since = test.app.clock.now() - silent;
    let mut people = Vec::new();
    for n in 0..2 * number {
        let phone = format!("+1206556{:04}", 1000 + n).parse().unwrap();
        people.push(format!("'{}'", test.person(&phone).await.0));
    }
    let people = people.join(", ");
    let sql = format!(
        "with people as (
             select array[{people}]::uuid[] as ids
         ), pairs as (
             select n, gen_random_uuid() as id, ids[2 * n - 1] as a, ids[2 * n] as b
             from people, generate_series(1, {number}) n
         ), conversations as (
             insert into conversation (id, code, code_expires_at, state, opened_at, last_talk_at,
                 ends_at, next_look_at)
             select id, translate(lpad(n::text, 7, 'K'), '015', 'ACD') || '4', timestamptz '{since}', 'active',
                 timestamptz '{since}', timestamptz '{since}',
                 timestamptz '{since}' + interval '30 days', timestamptz '{since}'
             from pairs
         )
         insert into participant (conversation_id, seat, person_id, masked_number_id, joined_at)
         select pairs.id, seat, case seat when 1 then a else b end, m.id, timestamptz '{since}'
         from pairs, generate_series(1, 2) seat,
             (select id from masked_number order by number limit 1) m (id)"
    );
    test.run(&sql).await;
}

/// Lets several sweepers work side by side, and one alone at the end.
async fn sweep_together(test: &TestApp, sweepers: usize) {
    let one = || async {
        for _ in 0..5 {
            sweeper::step(&test.app).await.unwrap();
        }
    };
    futures_util::future::join_all((0..sweepers).map(|_| one())).await;
    // Those that another held were left for the next round.
    test.sweep().await;
}

#[tokio::test]
async fn many_sweepers_warn_and_end_each_conversation_once() {
    let test = TestApp::start().await;
    many(&test, 250, hours(71)).await;
    sweep_together(&test, 4).await;
    let texts = |body: &str| {
        let accepted = test.simulator.ledger().accepted.into_iter();
        let mut to: Vec<_> = accepted
            .filter(|text| text.body == body)
            .map(|text| text.to.as_str().to_owned())
            .collect();
        to.sort();
        let all = to.len();
        to.dedup();
        (all, to.len())
    };
    assert_eq!(texts(SOON), (500, 500), "each of the people once");
    test.advance(hours(1));
    sweep_together(&test, 4).await;
    let ended = "select count(*) from audit_record where kind = 'ended' and detail = 'silence'";
    assert_eq!(test.value::<i64>(ended).await, 250);
    assert_eq!(
        test.value::<i64>("select count(*) from conversation where state <> 'ended'").await,
        0
    );
    assert_eq!(texts(SOON), (500, 500));
}

/// A replica on the same database, whose own clock does not count.
async fn replica(test: &TestApp) -> App {
    let url = SecretString::from(test.database_url().to_owned());
    let db = maskline::database::connect(&url).await.unwrap();
    App { db, clock: Clock::System, wake: Arc::default(), ..test.app.clone() }
}

#[tokio::test]
async fn a_sweeper_goes_by_the_databases_clock_not_by_its_own() {
    let test = TestApp::start().await;
    let (ann, _) = test.conversation().await;
    // The database's clock is what this function says; the replica's own is the computer's.
    let set_clock = async |time: &str| {
        test.run(&format!(
            "create or replace function clock_timestamp() returns timestamptz
             language sql as $$ select timestamptz '{time}' $$"
        ))
        .await;
    };
    let database: String = test.value("select current_database()").await;
    set_clock("2026-03-04T10:59:00Z").await;
    test.run(&format!("alter database {database} set search_path = public, pg_catalog")).await;
    let replica = replica(&test).await;
    sweeper::step(&replica).await.unwrap();
    test.deliver().await;
    assert_eq!((states(&test).await, count(&ann, SOON)), (vec!["active".to_owned()], 0));
    set_clock("2026-03-04T11:00:00Z").await;
    sweeper::step(&replica).await.unwrap();
    test.deliver().await;
    assert_eq!((states(&test).await, count(&ann, SOON)), (vec!["active".to_owned()], 1));
}

#[tokio::test]
async fn rows_of_the_release_before_this_one_live_on() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    // What such rows lack is filled in by the database's own clock.
    let ahead =
        "select ceil(extract(epoch from now() - timestamptz '2026-03-01T12:00:00Z'))::bigint";
    test.advance(SignedDuration::from_secs(test.value(ahead).await));
    ann.texts("HELP").await;
    ben.texts("HELP").await;
    test.deliver().await;
    let now = test.app.clock.now();
    let seat = |seat: u8, phone: &Phone<'_>| {
        format!(
            "insert into participant (conversation_id, seat, person_id, masked_number_id, joined_at)
             select c.id, {seat}, p.id, m.id, '{now}'
             from conversation c, person p, masked_number m
             where p.tag = {} and m.number = '+14155550100' and c.state <> 'ended'",
            test.tag(&phone.number)
        )
    };
    // As the release before wrote them: no word of silence, terms or looks.
    test.run(&format!(
        "insert into conversation (id, code, code_expires_at, state, opened_at)
         values (gen_random_uuid(), 'K7QM4XRT', timestamptz '{now}' + interval '24 hours', 'waiting', '{now}')"
    ))
    .await;
    test.run(&seat(1, &ann)).await;
    test.sweep().await;
    assert_eq!(states(&test).await, ["waiting"]);
    ann.texts("START").await;
    test.deliver().await;
    assert_eq!(code_in(&ann.last()).as_deref(), Some("K7QM-4XRT"));
    test.run("update conversation set state = 'active'").await;
    test.run(&seat(2, &ben)).await;
    test.advance(hours(1));
    ben.texts("hello").await;
    test.sweep().await;
    assert_eq!(ann.last(), "hello");
    test.advance(hours(71));
    test.sweep().await;
    assert_eq!((count(&ann, SOON), count(&ben, SOON)), (1, 1));
    test.run(
        "with ended as (
             update conversation set state = 'ended', ended_at = now(), end_reason = 'left'
         )
         update participant set left_at = now()",
    )
    .await;
    test.advance(hours(2));
    test.sweep().await;
    assert_eq!(states(&test).await, ["ended left"]);
    ann.starts().await;
}

#[tokio::test]
async fn extend_keeps_until_the_longest_where_it_cannot_keep_for_a_whole_silence() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    for _ in 0..9 {
        test.advance(hours(70));
        ann.texts("still here").await;
        test.sweep().await;
    }
    // 630 of 720 hours: the silence would end it at 702.
    test.advance(hours(71));
    test.sweep().await;
    assert_eq!(count(&ann, SOON), 1);
    ann.texts("EXTEND").await;
    test.deliver().await;
    assert!(ann.last().contains("ends within 19 h"), "{}", ann.last());
    test.advance(hours(18));
    test.sweep().await;
    ben.texts("then I am in time").await;
    test.deliver().await;
    assert_eq!(ann.last(), "then I am in time");
    test.advance(hours(1));
    test.sweep().await;
    assert_eq!(states(&test).await, ["ended longest"]);
}
