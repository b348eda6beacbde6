//! Lanes: one text under way, in order; one that waits holds up no other; all take turns.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use jiff::SignedDuration;
use maskline::{carrier::simulator::Faults, outbox::worker};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers};

use crate::{
    order::replica,
    sending::soon,
    support::{Phone, TestApp, Wishes},
};

async fn limited(sms: &str, mms: &str) -> TestApp {
    let settings = [("MASKLINE_SMS_PER_SECOND", sms), ("MASKLINE_MMS_PER_SECOND", mms)];
    TestApp::wishing(Wishes { settings: &settings, ..Wishes::default() }).await
}

/// Sends what is due in each of so many seconds.
async fn seconds(test: &TestApp, count: usize) {
    for _ in 0..count {
        test.advance(SignedDuration::from_secs(1));
        test.deliver().await;
    }
}

/// Ann and Ben, and two others, each pair in a conversation.
async fn two_pairs(test: &TestApp) -> [Phone<'_>; 4] {
    let (ann, ben) = (test.ann(), test.ben());
    let (carl, dora) = (test.phone("+12065550110"), test.phone("+12065550111"));
    for (one, other) in [(&ann, &ben), (&carl, &dora)] {
        one.texts("START").await;
        seconds(test, 3).await;
        let code = crate::support::code_in(&one.last()).unwrap();
        other.texts(&format!("JOIN {code}")).await;
        seconds(test, 5).await;
    }
    [ann, ben, carl, dora]
}

#[tokio::test]
async fn a_lane_that_floods_takes_turns_with_the_others() {
    let test = limited("1", "1").await;
    let [ann, _, carl, _] = two_pairs(&test).await;
    for n in 0..4 {
        ann.texts(&format!("flood {n}")).await;
    }
    test.advance(SignedDuration::from_millis(10));
    for n in 0..2 {
        carl.texts(&format!("other {n}")).await;
    }
    test.advance(SignedDuration::from_millis(10));
    let before = test.simulator.ledger().accepted.len();
    seconds(&test, 6).await;
    let sent: Vec<String> =
        test.simulator.ledger().accepted[before..].iter().map(|text| text.body.clone()).collect();
    assert_eq!(sent, ["flood 0", "other 0", "flood 1", "other 1", "flood 2", "flood 3"]);
}

#[tokio::test]
async fn answers_to_help_and_stop_go_before_all_that_waits() {
    let test = limited("1", "1").await;
    let [ann, ben, carl, _] = two_pairs(&test).await;
    ann.texts("hello").await;
    carl.texts("hello").await;
    test.advance(SignedDuration::from_millis(10));
    test.phone("+12065550112").texts("HELP").await;
    test.phone("+12065550113").texts("UNSUBSCRIBE").await;
    let before = test.simulator.ledger().accepted.len();
    seconds(&test, 4).await;
    let sent = &test.simulator.ledger().accepted[before..];
    assert!(sent[0].body.contains("Hidden numbers") && sent[1].body.contains("opted out"));
    assert_eq!(ben.last(), "hello");
}

#[tokio::test]
async fn who_asks_for_help_does_not_wait_for_what_is_unknown() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let (ann, ben) = test.conversation().await;
    test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
    ann.texts("was it heard?").await;
    test.deliver().await;
    test.faults(Faults::default());
    ann.texts("this waits").await;
    ben.texts("HELP").await;
    test.deliver().await;
    assert!(ben.last().contains("STOP ends all texts"), "{}", ben.last());
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    assert_eq!(ben.last(), "this waits");
}

#[tokio::test]
async fn texts_with_pictures_have_a_limit_of_their_own() {
    let test = limited("3", "1").await;
    for n in 10..18 {
        test.phone(&format!("+120655501{n}")).texts("HELP").await;
    }
    test.run("update outbox set is_mms = true where seq in (select seq from outbox order by seq limit 4)")
        .await;
    for sent in [4, 2, 1, 1] {
        assert_eq!(test.deliver().await, sent);
        test.advance(SignedDuration::from_secs(1));
    }
}

#[tokio::test]
async fn what_is_not_ready_waits_and_holds_up_its_lane_alone() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("with a picture").await;
    test.run("update outbox set held = true").await;
    ann.texts("behind it").await;
    ben.texts("the other way").await;
    assert_eq!(test.deliver().await, 1);
    assert_eq!(ann.last(), "the other way");
    test.run("update outbox set held = false").await;
    assert_eq!(test.deliver().await, 2);
    assert_eq!(ben.inbox()[ben.inbox().len() - 2..], ["with a picture", "behind it"]);
}

#[tokio::test]
async fn an_unknown_text_holds_up_its_conversation_alone() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
    ann.texts("was it heard?").await;
    test.deliver().await;
    test.faults(Faults::default());
    ann.texts("behind it").await;
    ben.texts("the other way").await;
    // His own texts to Maskline are of no conversation, or of another.
    ben.on_the_other_number().texts("HELP").await;
    assert_eq!(test.deliver().await, 2);
    assert_eq!(ann.last(), "the other way");
    test.run("delete from outbox").await;
}

/// A carrier that is busy whenever it is sent certain words, or anything at all.
struct Busy {
    everything: bool,
    count: AtomicU32,
}

impl Respond for Busy {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if self.everything || body.contains("stuck") {
            let why = json!({"errors": [{"status": 503, "detail": "busy"}]});
            return ResponseTemplate::new(503).set_body_json(why);
        }
        let id = format!("mdr2-{}", self.count.fetch_add(1, Ordering::Relaxed));
        ResponseTemplate::new(202).set_body_json(json!({"data": {"id": id}}))
    }
}

pub async fn busy(everything: bool) -> (MockServer, TestApp) {
    let carrier = MockServer::start().await;
    let busy = Busy { everything, count: AtomicU32::new(0) };
    Mock::given(matchers::any()).respond_with(busy).mount(&carrier).await;
    let mut test =
        TestApp::wishing(Wishes { carrier_url: Some(carrier.uri()), ..Wishes::default() }).await;
    test.leave_promises();
    let (ann, ben) = (test.ann(), test.ben());
    ann.texts("START").await;
    let code: String = test.value("select code from conversation").await;
    ben.texts(&format!("JOIN {code}")).await;
    test.run("delete from outbox").await;
    ann.texts("stuck").await;
    ann.texts("behind it").await;
    (carrier, test)
}

/// Lets half a minute pass, in which somebody else asks for help.
pub async fn half_a_minute(test: &TestApp, n: usize) {
    test.phone(&format!("+12065550{}", 200 + n)).texts("HELP").await;
    test.deliver().await;
    test.advance(SignedDuration::from_secs(30));
}

async fn queued(test: &TestApp) -> Vec<String> {
    test.column("select body from outbox where kind = 'relay' order by seq").await
}

#[tokio::test]
async fn a_lane_goes_on_without_what_is_not_accepted_for_long_while_others_are() {
    let (_carrier, test) = busy(false).await;
    for n in 0..10 {
        half_a_minute(&test, n).await;
        assert_eq!(queued(&test).await, ["stuck", "behind it"], "after {n} half minutes");
    }
    half_a_minute(&test, 10).await;
    assert_eq!(queued(&test).await, ["stuck"], "it keeps its tries");
    let passed = "select r.body || ' ' || p.detail from audit_record p
         join audit_record r on r.text_id = p.text_id and r.kind = 'relayed'
         where p.kind = 'passed'";
    assert_eq!(test.column(passed).await, ["stuck not_accepted"]);
    let before: i32 = test.value("select attempt from outbox").await;
    test.advance(SignedDuration::from_mins(10));
    test.deliver().await;
    assert_eq!(test.value::<i32>("select attempt from outbox").await, before + 1);
}

#[tokio::test]
async fn when_nobody_is_accepted_nothing_is_passed_and_all_keep_their_order() {
    let (_carrier, test) = busy(true).await;
    for n in 0..20 {
        half_a_minute(&test, n).await;
    }
    assert_eq!(queued(&test).await, ["stuck", "behind it"]);
    let passed = "select count(*) from audit_record where kind = 'passed'";
    assert_eq!(test.value::<i64>(passed).await, 0);
}

#[tokio::test]
async fn nobody_sleeps_for_ever_when_texts_come_and_go_at_once() {
    let test = TestApp::start().await;
    let other = replica(&test).await;
    let (ann, ben) = test.conversation().await;
    let before = (ann.inbox().len(), ben.inbox().len());
    let workers =
        [test.app.clone(), other].map(|app| tokio::spawn(worker::run(app, test.carrier.clone())));
    let texts = (0..60).map(async |n| {
        ann.texts(&format!("text {n}")).await;
        ben.texts(&format!("text {n}")).await;
    });
    let mut texts: Vec<_> = texts.collect();
    while !texts.is_empty() {
        join_all(texts.drain(..texts.len().min(6))).await;
    }
    let left = async { while test.value::<i64>("select count(*) from outbox").await > 0 {} };
    soon("all texts leave", left).await;
    test.app.draining.cancel();
    for worker in workers {
        worker.abort();
    }
    test.simulator.idle().await;
    let promised = async |to: &Phone<'_>| {
        test.column(&format!(
            "select r.body from audit_record r join person p on p.id = r.recipient_id
             where r.kind = 'relayed' and p.number = '{}' order by r.at, r.id",
            to.number.as_str()
        ))
        .await
    };
    assert_eq!(ann.inbox()[before.0..], promised(&ann).await);
    assert_eq!(ben.inbox()[before.1..], promised(&ben).await);
}

#[tokio::test]
async fn texts_that_cannot_be_put_to_sleep_hide_nobody_who_may_leave() {
    let test = limited("2", "1").await;
    let [ann, _, carl, dora] = two_pairs(&test).await;
    for n in 0..6 {
        ann.texts(&format!("flood {n}")).await;
    }
    test.advance(SignedDuration::from_millis(10));
    carl.texts("hello").await;
    let first = "seq = (select min(seq) from outbox)";
    test.run(&format!(
        "update outbox set state = 'unknown', attempt = 1, unknown_since = queued_at where {first}"
    ))
    .await;
    // While somebody holds the first, nobody behind it is put to sleep: they stay due.
    let mut holder = PgConnection::connect(test.database_url()).await.unwrap();
    let mut tx = holder.begin().await.unwrap();
    let hold = format!("select from outbox where {first} for update");
    sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut *tx).await.unwrap();
    worker::step(&test.app, &test.carrier).await.unwrap();
    assert_eq!(dora.last(), "hello");
    tx.rollback().await.unwrap();
    test.run("delete from outbox").await;
}

#[tokio::test]
async fn what_an_older_release_left_asleep_is_woken() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("hello").await;
    test.run("update outbox set due_at = 'infinity'").await;
    test.deliver().await;
    assert_eq!(ben.last(), "hello");
}

#[tokio::test]
async fn a_worker_with_much_to_do_reads_no_more_than_it_must() {
    let test = TestApp::start().await;
    test.conversation().await;
    test.run(
        "insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
         select gen_random_uuid(), decode(md5(n::text), 'hex'), '\\x00', '\\x00', now() from generate_series(1, 50000) n;
         insert into outbox (id, kind, recipient_id, masked_number_id, body_sealed, queued_at, due_at)
         select gen_random_uuid(), 'answer', p.id, m.id, 'x', now(), now()
         from person p cross join (select id from masked_number limit 1) m;
         insert into outbox (id, kind, recipient_id, masked_number_id, body_sealed, queued_at, due_at)
         select gen_random_uuid(), 'answer', p.id, m.id, 'x', now(), 'infinity'
         from (select id from person limit 1) p cross join (select id from masked_number limit 1) m
         cross join generate_series(1, 50000);
         analyze",
    )
    .await;
    let ids = "array_fill(gen_random_uuid(), '{100}')";
    let now = "now()";
    for (marker, types, values) in [
        ("min(leased_until)", "", String::new()),
        (
            "(is_mms, since)",
            "boolean[], timestamptz, bigint, timestamptz[]",
            format!("'{{f,t}}', {now}, 400, array_fill({now}, '{{2}}')"),
        ),
        (
            "first_tried_at = coalesce",
            "uuid[], timestamptz, timestamptz",
            format!("{ids}, {now}, {now}"),
        ),
        ("o.due_at = 'infinity')", "uuid[], uuid[], timestamptz", format!("{ids}, {ids}, {now}")),
        ("set due_at = 'infinity'", "uuid[], uuid[]", format!("{ids}, {ids}")),
        (
            "with accepted as",
            "uuid[], text[], timestamptz[], timestamptz",
            format!("{ids}, array_fill('x'::text, '{{100}}'), array_fill({now}, '{{100}}'), {now}"),
        ),
        ("with lost as", "timestamptz, timestamptz", format!("{now}, {now}")),
        ("first_tried_at <= $1", "timestamptz, bigint", format!("{now}, 100")),
        ("where held and passed_at is null", "timestamptz, bigint", format!("{now}, 100")),
        ("o.id = any($2) and m.id", "timestamptz, uuid[]", format!("{now}, {ids}")),
        ("due_at < 'infinity'", "timestamptz, timestamptz", format!("{now}, {now}")),
        (
            "set passed_at = $1, unknown_since",
            "timestamptz, timestamptz, bigint",
            format!("{now}, {now}, 100"),
        ),
        (
            "and not once and resends = 0",
            "timestamptz, timestamptz, bigint",
            format!("{now}, {now}, 100"),
        ),
    ] {
        let plan = plan(&test, marker, types, &values).await;
        assert!(!plan.contains("Seq Scan on outbox"), "{marker}:\n{plan}");
    }
    test.run("delete from outbox").await;
}

/// The plan of the one query of ours that holds this, with parameters of these types and values.
async fn plan(test: &TestApp, marker: &str, types: &str, values: &str) -> String {
    let folder = format!("{}/.sqlx", env!("CARGO_MANIFEST_DIR"));
    let queries: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .map(|json| serde_json::from_str::<serde_json::Value>(&json).unwrap())
        .map(|query| query["query"].as_str().unwrap().to_owned())
        .filter(|query| query.contains(marker))
        .collect();
    let [query] = &queries[..] else { panic!("{marker} stands in {} queries", queries.len()) };
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let typed = |list: &str| if list.is_empty() { String::new() } else { format!("({list})") };
    let prepare = format!("prepare q {} as {query}", typed(types));
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut conn).await.unwrap();
    let explain = sqlx::AssertSqlSafe(format!("explain execute q {}", typed(values)));
    let lines: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut conn).await.unwrap();
    lines.join("\n")
}
