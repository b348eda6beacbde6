//! What compliance sees without the program: what is clear, by views, and nothing else.

use jiff::SignedDuration;
use maskline::console::{exports::worker, staff::Role};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{DENIED, column, run};
use crate::{
    console::desk::Desk,
    extract::talk,
    pictures::png,
    program::maskline,
    seal::{seal, signing},
    support::{Database, TestApp, login_in},
};

const VIEWS: &str = "select table_name::text from information_schema.role_table_grants
                     where grantee = 'maskline_compliance' order by 1";

#[tokio::test]
async fn compliance_reads_views_and_no_table() {
    let database = Database::migrated().await;
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    let mut conn = login_in("maskline_compliance", &database.url).await;
    for view in column(&mut owner, VIEWS).await {
        assert_eq!(run(&mut conn, &format!("select * from {view}")).await, Ok(()), "{view}");
    }
    let tables = "select relname::text from pg_class
                  where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'S')";
    let tables = column(&mut owner, tables).await;
    assert!(tables.len() > 30, "{tables:?}");
    for table in tables {
        let sql = format!("select * from {table}");
        assert_eq!(run(&mut conn, &sql).await, Err(DENIED.to_owned()), "{sql}");
    }
    for attack in [
        "delete from compliance_record",
        "update compliance_record set detail = 'forged'",
        "insert into compliance_record (id, at, kind) values (gen_random_uuid(), now(), 'forged')",
        "insert into audit_record (id, at, kind) values (gen_random_uuid(), now(), 'forged')",
        "select audit_make_partitions(now(), 1)",
        "select * from audit_guard_again()",
        "select last_met_by_tag('\\x00', '')",
        "create table forged (id integer)",
        "set role maskline_app",
    ] {
        assert_eq!(run(&mut conn, attack).await, Err(DENIED.to_owned()), "{attack}");
    }
}

#[tokio::test]
async fn nothing_that_is_sealed_or_opens_something_stands_in_a_view() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("the bicycle is purple").await;
    ben.sends(Some("like this"), &[test.hosts(png(8, 8))]).await;
    test.deliver().await;
    // An open code, a code to move with, and what staff wrote.
    let code = ben.on_the_other_number().starts().await;
    ann.texts("MOVE").await;
    test.deliver().await;
    let words = ["optout", "add", "+12065550197", "--evidence", "rang about the bicycle"];
    maskline(&test, &words).done();
    maskline(&test, &["holds", "add", "--matter", "2026-1", "--all"]).done();
    seal(&test).await;

    let mut conn = login_in("maskline_compliance", test.database_url()).await;
    let mut seen = Vec::new();
    for view in test.column(VIEWS).await {
        let sql = format!("select '{view} ' || v::text from {view} v");
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut conn).await.unwrap();
        // No month was removed, nothing is signed here or handed out, and nobody is blocked.
        let is_empty =
            ["removal", "removal_request", "checkpoint", "carrier_block", "task", "export"];
        let is_empty = is_empty.iter().any(|it| view == format!("compliance_{it}"));
        assert_eq!(rows.is_empty(), is_empty, "{view}");
        seen.extend(rows);
    }
    let secrets = "
        select encode(tag, 'hex') from person union all
        select encode(wrapped_key, 'hex') from person union all
        select encode(number_sealed, 'hex') from person union all
        select encode(body_sealed, 'hex') from audit_record where body_sealed is not null union all
        select encode(media_sealed, 'hex') from audit_record where media_sealed is not null union all
        select encode(evidence_sealed, 'hex') from consent_event where evidence_sealed is not null union all
        select encode(token_digest, 'hex') from media where token_digest is not null union all
        select storage_key from media union all
        select encode(wrapped, 'hex') from vault_key union all
        select code from conversation union all
        select code from move_code";
    // Not through `column`: it would open what is sealed.
    let mut secrets: Vec<String> = sqlx::query_scalar(secrets).fetch_all(&test.db).await.unwrap();
    assert!(secrets.len() > 25 && secrets.iter().all(|it| it.len() >= 8), "{secrets:?}");
    secrets.extend(
        ["2065550142", "2065550187", "2065550197", "bicycle", "like this", &code]
            .map(str::to_owned),
    );
    for secret in secrets {
        let found = seen.iter().find(|row| row.contains(&secret));
        assert_eq!(found, None, "{secret}");
    }
    let of = |what: &str| seen.iter().filter(|row| row.starts_with(what)).count();
    let records: i64 = test.value("select count(*) from audit_record").await;
    assert_eq!(of("compliance_record "), usize::try_from(records).unwrap());
    assert!(of("compliance_participant ") == 3 && of("compliance_hold ") == 1, "{seen:#?}");
    // Whether there are words is known; here Ann's were received and relayed.
    let wordy = "select count(*)::text from compliance_record where has_words and kind = 'relayed'";
    assert_eq!(column(&mut conn, wordy).await, ["2"]);
}

#[tokio::test]
async fn who_asked_for_which_export_and_who_granted_it_is_seen_and_not_what_it_is_of() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let q = format!("conversation:{conversation}");
    let form = [("q", q.as_str()), ("format", "csv"), ("matter", "CV-17"), ("reason", "subpoena")];
    let form = form.map(|(name, value)| (name, value.to_owned()));
    let mut conn = login_in("maskline_compliance", test.database_url()).await;
    for then in ["/grant", ""] {
        let asked = desk.post("/exports", Some(&erin), &form).await.location.unwrap();
        if !then.is_empty() {
            let grant = asked.replace("?done=asked", then);
            assert_eq!(desk.post(&grant, Some(&vera), &[]).await.status, 303);
        }
    }
    worker::step(&test.app).await.unwrap();
    test.advance(SignedDuration::from_hours(6 * 24));
    let seen = "select concat_ws(' ', state, format, matter, reason, asked_by, decided_by, sha256)
        from compliance_export order by state";
    let sum: String = test.value("select sha256 from export_job where sha256 is not null").await;
    let done = format!("done csv CV-17 subpoena Erin Vera {sum}");
    let asked = "csv CV-17 subpoena Erin";
    assert_eq!(column(&mut conn, seen).await, [format!("asked {asked}"), done.clone()]);
    test.advance(SignedDuration::from_hours(24));
    worker::step(&test.app).await.unwrap();
    let seen = column(&mut conn, seen).await;
    assert_eq!(seen[1], format!("lapsed {asked}"));
    assert!(seen[0].starts_with("expired "), "{seen:?}");
    let rows = "select v::text from compliance_export v";
    let secrets = "select encode(scope_sealed, 'hex') from export_job";
    let rows = column(&mut conn, rows).await.join("\n");
    for secret in test.column(secrets).await.iter().chain([&conversation]) {
        assert!(secret.len() > 30 && !rows.contains(secret.as_str()), "{rows}");
    }
}
