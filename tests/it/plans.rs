//! What is done for every text reads by an index, however many rows there are.

mod leaving;

use maskline::{
    audit::{
        Kind,
        search::{self, Filter, Query, Standing},
    },
    carrier::wire::InboundText,
    dispatch::{self, Parsed},
    pool,
};

use sqlx::{Connection, PgConnection};

use crate::support::{NUMBER, TestApp, at, number};

/// Many conversations of other people, with a trail, silences and answers of theirs.
const FILL: &str = "
    insert into masked_number (id, number, added_at)
    select gen_random_uuid(), '+1503' || lpad(n::text, 7, '0'), now() from generate_series(1, 3000) n;
    create temporary table pair as
    select n, gen_random_uuid() as id, gen_random_uuid() as one, gen_random_uuid() as two,
        (select id from masked_number order by number offset n % 3000 limit 1) as number
    from generate_series(1, 3000) n;
    insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
    select one, decode(md5('one ' || n), 'hex'), '\\x00'::bytea, '\\x00'::bytea, now() from pair
    union all select two, decode(md5('two ' || n), 'hex'), '\\x00'::bytea, '\\x00'::bytea, now() from pair;
    insert into conversation (id, code, code_expires_at, state, opened_at, last_talk_at)
    select id, (select string_agg(substr('234679ACDEFGHJKM', 1 + (n >> (4 * place) & 15)::integer, 1), '')
                from generate_series(0, 5) place) || '79', now(), 'active', now(), now()
    from pair;
    insert into participant (conversation_id, seat, person_id, masked_number_id, joined_at)
    select id, 1, one, number, now() from pair union all select id, 2, two, number, now() from pair;
    insert into suppression select one, 'opt_out', now() from pair;
    insert into carrier_block select one, number, now() from pair;
    insert into answer_given select one, 'help', now() from pair;
    insert into move_code
    select two, 'A' || (select string_agg(substr('234679ACDEFGHJKM', 1 + (n >> (4 * place) & 15)::integer, 1), '')
                from generate_series(0, 4) place) || '79', now() + interval '1 day' from pair;
    insert into carrier_message (carrier_id, direction, noted_at)
    select 'old-' || n, 'inbound', now() from pair;
    drop table pair;
    analyze";

#[tokio::test]
async fn words_that_are_passed_on_cost_no_table_a_scan() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.deliver().await;
    test.run(FILL).await;

    let text = |id: &str, from, body: &str| {
        Parsed::from(InboundText {
            carrier_id: id.to_owned(),
            from: Some(from),
            to: Some(number(NUMBER)),
            body: body.to_owned(),
            media: Vec::new(),
            sent_at: None,
        })
    };
    let shared = vec![
        text("shared 1", ann.number.clone(), "both at once"),
        text("shared 2", ben.number.clone(), "both at once, too"),
    ];
    let mut slices: Vec<Vec<Parsed>> = vec![shared];
    // PostgreSQL plans a statement anew five times, and then once for all values.
    slices.extend((0..8).map(|n| vec![text(&format!("alone {n}"), ann.number.clone(), "alone")]));
    // One that has seen no table while it was small.
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    for slice in slices {
        let mut tx = conn.begin().await.unwrap();
        let new = dispatch::handle(&test.app, &mut tx, &slice).await.unwrap();
        assert_eq!(new, slice.len());
        let scanned: Vec<String> = sqlx::query_scalar(
            "select relname::text from pg_stat_xact_user_tables where seq_scan > 0 order by 1",
        )
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        assert_eq!(scanned, Vec::<String>::new());
        tx.commit().await.unwrap();
    }
    conn.close().await.unwrap();
    test.deliver().await;
}

/// `create or replace function` forgets it, and then each text alone is planned anew.
#[tokio::test]
async fn taking_in_is_planned_once_for_each_connection() {
    let test = TestApp::start().await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let settings: Vec<String> = sqlx::query_scalar(
        "select unnest(proconfig) from pg_proc where proname = 'take_in_by_tag'",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert_eq!(settings, ["plan_cache_mode=force_generic_plan"]);
    conn.close().await.unwrap();
}

#[tokio::test]
async fn the_forecast_reads_who_came_and_went_of_late_and_not_all_that_ever_did() {
    let test = TestApp::start().await;
    test.run(FILL).await;
    let past = "'2025-03-01'::timestamptz + random() * interval '300 days'";
    test.run(&format!(
        "update participant set joined_at = {past}, left_at = {past} + interval '1 hour'
             where conversation_id::text > '2';
         update participant set joined_at = '2026-02-25' where ctid = any(array(
             select ctid from participant where left_at is null limit 7));
         update participant set joined_at = '2025-03-01' where left_at is null
             and joined_at > '2026-03-01';
         analyze participant"
    ))
    .await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let now = test.app.clock.now();
    for _ in 0..8 {
        let mut tx = conn.begin().await.unwrap();
        let seen = pool::forecast(&mut tx, &test.app.settings.pool, now).await.unwrap();
        assert_eq!(seen.grown, 7);
        let scanned: Vec<String> = sqlx::query_scalar(
            "select relname::text from pg_stat_xact_user_tables
             where seq_scan > 0 and relname = 'participant'",
        )
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        assert_eq!(scanned, Vec::<String>::new());
        tx.commit().await.unwrap();
    }
    conn.close().await.unwrap();
}

/// A year of records of other people's conversations.
const TRAIL: &str = "
    select audit_make_partitions('2025-04-01', 12);
    insert into audit_record (id, at, kind, conversation_id, person_id, recipient_id, masked_number,
        carrier_id, text_id)
    select gen_random_uuid(), '2025-04-01'::timestamptz + n * interval '10 minutes', 'relayed',
        md5('c' || n / 10)::uuid, md5('p' || n / 20)::uuid, md5('q' || n / 20)::uuid,
        '+14155550100', 'old-' || n, gen_random_uuid()
    from generate_series(1, 48000) n;
    analyze";

/// Beside it, what belongs to no conversation: answers, what the carrier reported of each text, and what
/// staff did.
const ALONE: &str = "
    insert into audit_record (id, at, kind, rule, person_id, recipient_id, masked_number, carrier_id,
        text_id)
    select gen_random_uuid(), at + n * interval '1 minute',
        (array['received', 'answered', 'delivered', 'staff'])[n],
        (array['help', 'help', null, 'audit_search'])[n],
        case n when 1 then md5('z' || substr(carrier_id, 5)::integer / 300)::uuid end,
        case n when 2 then md5('z' || substr(carrier_id, 5)::integer / 300)::uuid end,
        case when n < 3 then '+14155550100' end, case n when 1 then 'alone-' || carrier_id end,
        case n when 2 then gen_random_uuid() when 3 then text_id end
    from audit_record
    cross join generate_series(1, 4) n
    where kind = 'relayed' and (n = 3 or substr(carrier_id, 5)::integer % 10 = 0);
    analyze";

/// How many records this connection fetched by an index.
async fn fetched(conn: &mut PgConnection) -> i64 {
    let sql = "select sum(idx_tup_fetch)::bigint from pg_stat_xact_user_tables
               where relname like 'audit_record%'";
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}

#[tokio::test]
async fn a_search_of_the_trail_reads_it_by_an_index() {
    let test = TestApp::start().await;
    test.run(TRAIL).await;
    test.run(ALONE).await;
    let some: Vec<String> = test
        .column(
            "select unnest(array[conversation_id::text, person_id::text, recipient_id::text, carrier_id,
                 text_id::text]) from audit_record where carrier_id = 'old-24000'",
        )
        .await;
    let all = Filter::default;
    let of = "select person_id from audit_record where carrier_id = 'alone-old-24000'";
    let whom: uuid::Uuid = test.value(of).await;
    let person = |n: usize| some[n].parse().ok();
    let filters = [
        all(),
        Filter {
            from: Some(at("2025-08-01T00:00:00Z")),
            until: Some(at("2025-09-01T00:00:00Z")),
            ..all()
        },
        Filter { conversation: some[0].parse().ok(), ..all() },
        Filter { person: person(1), ..all() },
        Filter { person: person(2), ..all() },
        Filter { person: person(2), until: Some(at("2025-12-01T00:00:00Z")), ..all() },
        Filter { external: Some(some[3].clone()), ..all() },
        Filter { external: Some(some[4].clone()), ..all() },
        Filter { person: Some(whom.into()), ..all() },
        Filter { external: Some("alone-old-24000".to_owned()), ..all() },
    ];
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    // PostgreSQL plans a statement anew five times, and then once for all values.
    for filter in filters.iter().cycle().take(9 * filters.len()) {
        let mut tx = conn.begin().await.unwrap();
        let query = Query::new(filter.clone(), None, None, at("2026-03-01T12:00:00Z")).unwrap();
        let (mut found, before) = (0, fetched(&mut tx).await);
        search::find(&mut tx, &test.app.pen.vault, &query, 20, |_| found += 1).await.unwrap();
        assert!(found > 0, "{filter:?}");
        let scanned: Vec<String> = sqlx::query_scalar(
            "select relname::text from pg_stat_xact_user_tables
             where relname like 'audit_record%' and seq_tup_read > 0",
        )
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        assert_eq!(scanned, Vec::<String>::new(), "{filter:?}");
        let read = fetched(&mut tx).await - before;
        assert!(read < 1_000, "{read} records were read for {filter:?}");
        tx.commit().await.unwrap();
    }
    conn.close().await.unwrap();
}

/// Of a year of records these few are refused, failed, flagged, held, waiting, with a picture, by a rule
/// of their own, or through a number that is not in use any more: all of the first months.
const RARE: &str = "
    insert into masked_number (id, number, added_at) values (gen_random_uuid(), '+14155550177', now());
    insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
    values (md5('p2')::uuid, decode(md5('two'), 'hex'), '\\x00'::bytea, '\\x00'::bytea, now());
    insert into conversation (id, code, code_expires_at, state, opened_at, last_talk_at)
    values (md5('c3')::uuid, 'ACDEFG79', now(), 'waiting', now(), now()),
        (md5('c8')::uuid, 'CDEFGH79', now(), 'active', now(), now());
    insert into legal_hold (id, matter, person_id, conversation_id, placed_by, placed_at)
    values (gen_random_uuid(), 'one', md5('p2')::uuid, null, 'Dana', now()),
        (gen_random_uuid(), 'two', null, md5('c8')::uuid, 'Dana', now());
    insert into audit_record (id, at, kind, rule, conversation_id, masked_number, media_sealed)
    values (gen_random_uuid(), '2025-04-19', 'erased', null, null, null, null),
        (gen_random_uuid(), '2025-04-20', 'refused', null, md5('c10')::uuid, null, null),
        (gen_random_uuid(), '2025-04-21', 'received', 'too_odd', md5('c11')::uuid, null, null),
        (gen_random_uuid(), '2025-04-22', 'flagged', null, md5('c12')::uuid, null, null),
        (gen_random_uuid(), '2025-04-23', 'received', null, md5('c13')::uuid, null, '\\x00'),
        (gen_random_uuid(), '2025-04-24', 'received', null, md5('c14')::uuid, '+14155550177', null);
    insert into audit_record (id, at, kind, text_id)
    select gen_random_uuid(), at + interval '1 minute', 'failed', text_id
    from audit_record where carrier_id = 'old-2000'";

#[tokio::test]
async fn what_is_rare_is_found_without_reading_all_of_the_trail() {
    let test = TestApp::start().await;
    test.run(TRAIL).await;
    test.run(RARE).await;
    // As autovacuum does in time, and here for months of a few pages, too.
    test.run(
        "select brin_summarize_new_values(inhrelid) from pg_inherits
         where inhparent = 'audit_record_few'::regclass",
    )
    .await;
    let (all, kinds) = (Filter::default, |kind| vec![kind]);
    let filters = [
        (1, Filter { kinds: kinds(Kind::Refused), ..all() }),
        (0, Filter { kinds: vec![Kind::Parked, Kind::OptedOut], ..all() }),
        (1, Filter { kinds: kinds(Kind::Failed), ..all() }),
        (0, Filter { kinds: kinds(Kind::Delivered), ..all() }),
        (2, Filter { kinds: vec![Kind::Failed, Kind::Refused], ..all() }),
        (1, Filter { rule: Some("too_odd".to_owned()), ..all() }),
        (1, Filter { flagged: true, ..all() }),
        // Two are the person's, one is held itself.
        (3, Filter { held: true, ..all() }),
        (1, Filter { state: Some(Standing::Waiting), ..all() }),
        (0, Filter { state: Some(Standing::Waiting), flagged: true, ..all() }),
        (1, Filter { with_media: true, ..all() }),
        (1, Filter { masked_number: Some(number("+14155550177")), ..all() }),
        (1, Filter { kinds: kinds(Kind::Erased), ..all() }),
    ];
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    // A month of this trail is so little that PostgreSQL may as well read it whole.
    sqlx::query("set enable_seqscan = off").execute(&mut conn).await.unwrap();
    for (many, filter) in filters.iter().cycle().take(3 * filters.len()) {
        let mut tx = conn.begin().await.unwrap();
        let query = Query::new(filter.clone(), None, None, at("2026-03-01T12:00:00Z")).unwrap();
        let (mut found, before) = (0, fetched(&mut tx).await);
        search::find(&mut tx, &test.app.pen.vault, &query, 20, |_| found += 1).await.unwrap();
        assert_eq!(found, *many, "{filter:?}");
        let read = fetched(&mut tx).await - before;
        assert!(read < 3_000, "{read} records were read for {filter:?}");
        tx.commit().await.unwrap();
    }
    conn.close().await.unwrap();
}
