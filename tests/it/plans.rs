//! What is done for every text reads by an index, however many rows there are.

use maskline::{
    carrier::wire::InboundText,
    dispatch::{self, Parsed},
    pool,
};

use sqlx::{Connection, PgConnection};

use crate::support::{NUMBER, TestApp, number};

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
