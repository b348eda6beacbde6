//! Sending, receipts and the carrier's list: no step reads a whole table.

use std::collections::HashMap;

use jiff::SignedDuration;
use maskline::{
    app::App,
    carrier::{
        simulator::Faults,
        wire::{InboundText, Receipt},
    },
    database,
    dispatch::{self, Parsed},
    ids::TextId,
    outbox::{
        receipts::{self, Noted},
        worker,
    },
    phone::PhoneNumber,
    reconciler::Reconciler,
};
use sqlx::{Connection, PgConnection};

use super::FILL;
use crate::support::{NUMBER, Phone, TestApp, number};

/// Beside other people's conversations: what is parked for them and what waits for pictures, what was
/// accepted, refused and recorded, and what staff are called for.
const MORE: &str = "
    create temporary table stranger as select id from person where wrapped_key = '\\x00';
    insert into outbox (id, kind, recipient_id, masked_number_id, body_sealed, queued_at, due_at, state,
        attempt, tried_at, first_tried_at, unknown_since, passed_at)
    select gen_random_uuid(), 'answer', p.id, (select id from masked_number limit 1), '\\x00',
        t, t, 'unknown', 1, t, t, t, t
    from stranger p cross join (values ('2026-02-20'::timestamptz)) as old (t);
    insert into outbox (id, kind, recipient_id, masked_number_id, body_sealed, queued_at, due_at,
        is_mms, held, passed_at)
    select gen_random_uuid(), 'answer', p.id, (select id from masked_number limit 1), '\\x00',
        t, t, true, true, t
    from stranger p cross join (values ('2026-02-20'::timestamptz)) as old (t);
    insert into audit_record (id, at, kind, conversation_id, person_id, recipient_id, masked_number,
        carrier_id, text_id)
    select gen_random_uuid(), '2026-03-01', kind, c.id, gen_random_uuid(), gen_random_uuid(),
        '+14155550100', 'sent-' || c.id, md5('t' || c.id)::uuid
    from conversation c cross join unnest(array['relayed', 'accepted', 'delivered']) kind;
    insert into carrier_message (carrier_id, direction, noted_at, text_id, delivery, recipient_id,
        masked_number_id)
    select 'sent-' || c.id, 'outbound', now(), md5('t' || c.id)::uuid, 'sent', s.person_id,
        s.masked_number_id
    from conversation c join participant s on s.conversation_id = c.id and s.seat = 1;
    insert into task (id, kind, person_id, raised_at, due_at)
    select gen_random_uuid(), 'unknown', id, now(), now() from stranger;
    insert into send_failure (masked_number_id, at, why)
    select id, now() - interval '1 year', 'failed' from masked_number;
    insert into consent_event (id, at, person_id, kind, rule, channel)
    select gen_random_uuid(), now(), id, 'granted', 'start', 'text' from stranger;
    insert into block (person_id, other_id, since)
    select id, lead(id, 1, first) over (order by id), now()
    from stranger cross join (select min(id::text)::uuid as first from stranger) first;
    drop table stranger;
    analyze";

/// How often each thing is done.
const TIMES: i64 = 8;

/// How often each table that is not small was read from end to end, and how many of its rows were
/// fetched by an index.
async fn reads(look: &mut PgConnection) -> HashMap<String, (i64, i64)> {
    let sql = "select s.relname::text, s.seq_scan, coalesce(s.idx_tup_fetch, 0)
               from pg_stat_user_tables s
               join pg_class c on c.oid = s.relid where c.reltuples >= 1000";
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(look).await.unwrap();
    rows.into_iter().map(|(table, scans, fetched)| (table, (scans, fetched))).collect()
}

/// Waits until nobody else is connected: who leaves has told what they have read.
async fn alone(look: &mut PgConnection) {
    let others = "select count(*) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
            and pid <> pg_backend_pid()";
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut *look).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
}

struct Stage {
    test: TestApp,
    ann: PhoneNumber,
    look: PgConnection,
    said: usize,
}

impl Stage {
    async fn new() -> Self {
        let mut test = TestApp::start().await;
        test.leave_promises();
        test.run("select audit_make_partitions('2026-02-01', 3)").await;
        let ann = test.conversation().await.0.number;
        assert!(Reconciler::new(test.app.clone(), test.carrier.clone()).step().await.unwrap());
        test.run(FILL).await;
        test.run(MORE).await;
        test.app.db.close().await;
        test.db.close().await;
        let mut look = PgConnection::connect(test.database_url()).await.unwrap();
        alone(&mut look).await;
        Self { test, ann, look, said: 0 }
    }

    /// Does this eight times, on connections of its own, and sees that it reads no table from end to
    /// end, by an index neither: PostgreSQL plans a statement anew five times, and then once for all
    /// values.
    async fn scans_nothing(&mut self, what: &str, work: impl AsyncFn(&Round<'_>)) {
        let before = reads(&mut self.look).await;
        for table in ["outbox", "audit_record_2026_03", "carrier_message", "person", "task"] {
            assert!(before.contains_key(table), "{table} is small");
        }
        let db = database::connect(&self.test.app.settings.database_url).await.unwrap();
        let app = App { db, ..self.test.app.clone() };
        for _ in 0..TIMES {
            self.said += 1;
            let ann = self.test.phone(self.ann.as_str());
            work(&Round { test: &self.test, app: &app, ann, turn: self.said }).await;
        }
        app.db.close().await;
        alone(&mut self.look).await;
        for (table, (scans, fetched)) in reads(&mut self.look).await {
            let (scans_before, fetched_before) = before[&table];
            assert_eq!(scans, scans_before, "{what} scans {table}");
            let fetched = fetched - fetched_before;
            assert!(fetched < 500 * TIMES, "{what} fetches {fetched} rows of {table}");
        }
    }
}

struct Round<'a> {
    test: &'a TestApp,
    app: &'a App,
    ann: Phone<'a>,
    turn: usize,
}

impl Round<'_> {
    /// Ann says something, and it is promised to Ben.
    async fn says(&self) {
        self.says_as("turn").await;
    }

    async fn says_as(&self, what: &str) {
        let text = InboundText {
            carrier_id: format!("{what}-{}", self.turn),
            from: Some(self.ann.number.clone()),
            to: Some(number(NUMBER)),
            body: format!("{what} {}", self.turn),
            media: Vec::new(),
            sent_at: None,
        };
        let mut tx = self.app.db.begin().await.unwrap();
        let new = dispatch::handle(self.app, &mut tx, &[Parsed::from(text)]).await.unwrap();
        assert_eq!(new, 1);
        tx.commit().await.unwrap();
    }

    /// One step of the worker, with these faults. No receipt comes.
    async fn step(&self, faults: Faults) -> usize {
        self.test.faults(Faults { lose_receipt: 1.0, ..faults });
        let sent = worker::step(self.app, &self.test.carrier).await.unwrap();
        self.test.simulator.idle().await;
        sent
    }

    /// All that is due leaves and is accepted.
    async fn deliver(&self) {
        while self.step(Faults::default()).await > 0 {}
    }

    async fn reconciles(&self) {
        self.test.advance(SignedDuration::from_mins(1));
        assert!(self.may_reconcile().await);
    }

    /// Goes a round, if it is time for one.
    async fn may_reconcile(&self) -> bool {
        let mut reconciler = Reconciler::new(self.app.clone(), self.test.carrier.clone());
        reconciler.step().await.unwrap()
    }

    /// Of what was accepted last: the carrier's id, and the text that its callback names.
    fn last(&self) -> (String, TextId) {
        let last = self.test.simulator.ledger().accepted.pop().unwrap();
        let callback = last.dlr_callback.unwrap();
        (last.id, callback.rsplit('/').next().unwrap().parse().unwrap())
    }

    async fn receipt(&self, id: &str, status: &str, token: Option<TextId>) -> Noted {
        let receipt = Receipt { carrier_id: id.to_owned(), status: status.to_owned(), code: None };
        let mut tx = self.app.db.begin().await.unwrap();
        let now = self.app.clock.now();
        let pen = &self.app.pen;
        let noted = receipts::note(&mut tx, pen, &receipt, token, now).await.unwrap();
        tx.commit().await.unwrap();
        noted
    }
}

#[tokio::test]
async fn sending_costs_no_table_a_scan() {
    let mut stage = Stage::new().await;
    let accepted = async |round: &Round<'_>| {
        round.says().await;
        assert_eq!(round.step(Faults::default()).await, 1);
    };
    stage.scans_nothing("what is accepted", accepted).await;
    let refused = async |round: &Round<'_>| {
        round.says().await;
        assert_eq!(round.step(Faults { refuse: 1.0, ..Faults::default() }).await, 1);
        // Ann is told.
        assert_eq!(round.step(Faults::default()).await, 1);
    };
    stage.scans_nothing("what is refused", refused).await;
    let postponed = async |round: &Round<'_>| {
        round.says().await;
        assert_eq!(round.step(Faults { throttle: 1.0, ..Faults::default() }).await, 1);
        round.test.advance(SignedDuration::from_secs(5));
        assert_eq!(round.step(Faults::default()).await, 1);
    };
    stage.scans_nothing("what is put off", postponed).await;
    let parked = async |round: &Round<'_>| {
        round.says().await;
        assert_eq!(round.step(Faults { drop: 1.0, ..Faults::default() }).await, 1);
        round.test.advance(SignedDuration::from_mins(6));
        // Ann is told.
        assert_eq!(round.step(Faults::default()).await, 1);
    };
    stage.scans_nothing("what stays unknown", parked).await;
}

#[tokio::test]
async fn receipts_cost_no_table_a_scan() {
    let mut stage = Stage::new().await;
    let receipts = async |round: &Round<'_>| {
        round.says().await;
        round.deliver().await;
        let (id, token) = round.last();
        assert_eq!(round.receipt(&id, "sent", Some(token)).await, Noted::Progress);
        assert_eq!(round.receipt(&id, "delivered", Some(token)).await, Noted::Delivered);
        assert_eq!(round.receipt(&id, "failed", Some(token)).await, Noted::Nothing);
        assert_eq!(round.receipt("a stranger's", "failed", None).await, Noted::Stranger);
    };
    stage.scans_nothing("a receipt", receipts).await;
    let failures = async |round: &Round<'_>| {
        round.says().await;
        round.deliver().await;
        let (id, token) = round.last();
        assert_eq!(round.receipt(&id, "failed", Some(token)).await, Noted::Failed);
        // Ann is told.
        assert_eq!(round.step(Faults::default()).await, 1);
    };
    stage.scans_nothing("a failure", failures).await;
    let found = async |round: &Round<'_>| {
        round.says().await;
        round.step(Faults { drop: 1.0, ..Faults::default() }).await;
        let (id, token) = round.last();
        assert_eq!(round.receipt(&id, "delivered", Some(token)).await, Noted::Delivered);
        // The carrier has it under another id as well.
        let other = format!("{id}-again");
        assert_eq!(round.receipt(&other, "delivered", Some(token)).await, Noted::Delivered);
    };
    stage.scans_nothing("a receipt of what was unknown", found).await;
}

#[tokio::test]
async fn a_round_of_the_reconciler_costs_no_table_a_scan() {
    let mut stage = Stage::new().await;
    let nothing = async |round: &Round<'_>| {
        round.reconciles().await;
        // It is looked again soon whether something is unknown by now.
        assert!(!round.may_reconcile().await);
    };
    stage.scans_nothing("a round with nothing new", nothing).await;
    let sends = async |round: &Round<'_>| {
        round.says().await;
        round.step(Faults { drop: 1.0, ..Faults::default() }).await;
        round.reconciles().await;
        let accepted = round.test.simulator.ledger().accepted;
        round.says_as("then").await;
        round.deliver().await;
        // The lane goes on.
        assert_eq!(round.test.simulator.ledger().accepted.len(), accepted.len() + 1);
    };
    stage.scans_nothing("a send that the list shows", sends).await;
    let texts = async |round: &Round<'_>| {
        let before = round.test.simulator.ledger().accepted.len();
        round.test.faults(Faults { lose_webhook: 1.0, ..Faults::default() });
        round.ann.texts("never brought").await;
        round.test.advance(SignedDuration::from_mins(4));
        round.reconciles().await;
        round.deliver().await;
        assert_eq!(round.test.simulator.ledger().accepted.len(), before + 1);
    };
    stage.scans_nothing("a text that the list shows", texts).await;
}
