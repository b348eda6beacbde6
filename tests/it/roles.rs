//! Who may do what in the database: the service adds to the trail and cannot change it, compliance sees
//! what is clear, and each statement of the program has the rights that it needs and no more.

mod compliance;
mod logins;
mod migrating;

use std::{collections::BTreeSet, fs, path::Path};

use maskline::{audit, clock::Clock, media::worker};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::{
    pictures::png,
    program::{maskline, maskline_reading},
    seal::{seal, sign, signing},
    support::{Database, NUMBER, TestApp, app_name, code_in},
    verify::{keep, verified},
};

const DENIED: &str = "42501";
const UNGUARDED: &str = "select unguarded::text from audit_unguarded() unguarded";

/// Functions that only the owner calls, or nobody by name.
const OWNERS: [&str; 10] = [
    "audit_drop_month",
    "audit_guard",
    "audit_lock_month",
    "audit_refuse",
    "give_to_owner",
    "heed_suppressed_tag",
    // What an earlier version calls, which runs as the owner.
    "last_met",
    "masked_number_stays",
    "person_stays",
    "take_in",
];

/// Statements of the program that only the owner may run: `keys seal` and `audit retain`.
const STATEMENTS: [&str; 11] = [
    "alter table consent_event disable trigger append_only",
    "alter table consent_event enable always trigger append_only",
    "do $$ begin alter table person validate constraint person_is_sealed;",
    "do $$ declare part regclass; begin for part in select relid from pg_partition_tree('audit_record') loop execute format('alter table %s disable",
    "do $$ declare part regclass; begin for part in select relid from pg_partition_tree('audit_record') loop execute format('alter table %s enable",
    "insert into audit_removal ",
    "select audit_drop_month(",
    "select audit_lock_month(",
    "update audit_record set body = null, media = null,",
    "update consent_event set evidence = null,",
    "update removal_month ",
];

/// Runs a statement; an error is its SQLSTATE.
async fn run(conn: &mut PgConnection, sql: &str) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await;
    done.map(drop).map_err(|error| match error {
        sqlx::Error::Database(error) => error.code().unwrap_or_default().into_owned(),
        other => panic!("{sql}: {other}"),
    })
}

async fn column(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(conn).await.unwrap()
}

/// All statements of the program, on one line each, and how many parameters each has.
fn statements() -> Vec<(String, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let query: Value =
                serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
            let sql = query["query"].as_str().unwrap();
            let parameters = query["describe"]["parameters"]["Left"].as_array().unwrap().len();
            (sql.to_owned(), parameters)
        })
        .collect();
    found.sort();
    found
}

fn on_one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether whoever is logged in has the rights for a statement, or by what SQLSTATE it is refused.
/// PostgreSQL looks at rights where it would begin to run it.
async fn may(conn: &mut PgConnection, sql: &str, parameters: usize) -> Result<(), String> {
    let mut tx = conn.begin().await.unwrap();
    let word = sql.split_whitespace().next().unwrap();
    let is_planned = !["alter", "do", "lock", "set"].contains(&word);
    let done = if is_planned {
        let values = vec!["null"; parameters].join(", ");
        let values = if parameters == 0 { String::new() } else { format!("({values})") };
        let all = format!("prepare it as {sql};\nexplain execute it{values}; deallocate it");
        run(&mut tx, &all).await
    } else {
        run(&mut tx, sql).await
    };
    tx.rollback().await.unwrap();
    // What is prepared outlives its transaction.
    run(conn, "deallocate all").await.unwrap();
    done
}

#[tokio::test]
async fn the_service_may_run_every_statement_but_those_of_the_owner() {
    let database = Database::migrated().await;
    let mut app = PgConnection::connect(&database.app_url).await.unwrap();
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    run(&mut owner, "set role maskline_owner").await.unwrap();
    let statements = statements();
    assert!(statements.len() > 200);
    let mut refused: BTreeSet<&&str> = BTreeSet::new();
    for (sql, parameters) in &statements {
        let line = on_one_line(sql);
        let is_owners = STATEMENTS.iter().find(|start| line.starts_with(**start));
        refused.extend(is_owners);
        let expected = if is_owners.is_some() { Err(DENIED.to_owned()) } else { Ok(()) };
        assert_eq!(may(&mut app, sql, *parameters).await, expected, "{line}");
        // With no person, no address and no text, `null` may be more than a statement takes.
        let done = may(&mut owner, sql, *parameters).await;
        assert_ne!(done, Err(DENIED.to_owned()), "the owner: {line}");
    }
    assert_eq!(refused.len(), STATEMENTS.len(), "a statement is there no more");
}

#[tokio::test]
async fn every_right_of_the_service_is_one_that_a_statement_needs() {
    // Those that no statement shows: a COPY, a trigger's statement, and one of sqlx.
    let hidden = ["audit_leaf INSERT", "suppressed_tag DELETE", "_sqlx_migrations SELECT"];
    let database = Database::migrated().await;
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    let rights = column(
        &mut owner,
        "select table_name || ' ' || privilege_type from information_schema.role_table_grants
         where grantee = 'maskline_app' order by 1",
    )
    .await;
    let statements: Vec<_> = statements()
        .into_iter()
        .filter(|(sql, _)| {
            let line = on_one_line(sql);
            !STATEMENTS.iter().any(|start| line.starts_with(start))
        })
        .collect();
    assert!(rights.len() > 60, "{rights:?}");
    for right in rights.iter().filter(|right| !hidden.contains(&right.as_str())) {
        let (table, verb) = right.split_once(' ').unwrap();
        run(&mut owner, &format!("revoke {verb} on {table} from maskline_app")).await.unwrap();
        run(&mut owner, "set role maskline_app").await.unwrap();
        let mut is_needed = false;
        for (sql, parameters) in statements.iter().filter(|(sql, _)| sql.contains(table)) {
            is_needed |= may(&mut owner, sql, *parameters).await == Err(DENIED.to_owned());
            if is_needed {
                break;
            }
        }
        assert!(is_needed, "no statement needs {right}");
        run(&mut owner, "reset role").await.unwrap();
        run(&mut owner, &format!("grant {verb} on {table} to maskline_app")).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_adds_a_table_a_view_or_a_function_decides_who_may_use_it() {
    let database = Database::migrated().await;
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    let relations = sqlx::query(
        "select c.relname, c.relkind::text as kind, pg_get_userbyid(c.relowner) as owner,
             exists (select from pg_inherits where inhrelid = c.oid) as is_part,
             exists (select from pg_depend where objid = c.oid and deptype = 'i') as is_within,
             coalesce(array(
                 select coalesce(r.rolname, 'public') || ' ' || a.privilege_type
                 from aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
                 where a.grantee <> c.relowner order by 1
             ), '{}') as rights
         from pg_class c
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
         order by 1",
    );
    for row in relations.fetch_all(&mut owner).await.unwrap() {
        let (name, kind): (String, String) = (row.get("relname"), row.get("kind"));
        let rights: Vec<String> = row.get("rights");
        assert_eq!(
            row.get::<String, _>("owner"),
            "maskline_owner",
            "{name}: end its migration with `select give_to_owner('{name}')`"
        );
        let whose: BTreeSet<_> =
            rights.iter().map(|right| right.split(' ').next().unwrap()).collect();
        let expected = match kind.as_str() {
            // A month is reached through the whole, an identity's sequence through its table.
            "r" if row.get("is_part") && name != "audit_record_default" => None,
            "S" if row.get("is_within") => None,
            "v" if name.starts_with("compliance_") => Some("maskline_compliance"),
            _ => Some("maskline_app"),
        };
        let expected: BTreeSet<_> = expected.into_iter().collect();
        assert_eq!(whose, expected, "who may use {name}? Its migration must say so");
        if whose.contains("maskline_compliance") {
            assert_eq!(rights, ["maskline_compliance SELECT"], "{name}");
        }
    }
    let functions = sqlx::query(
        "select p.proname, pg_get_userbyid(p.proowner) as owner, p.prosecdef, p.proconfig,
             has_function_privilege('public', p.oid, 'execute') as is_everybodys,
             has_function_privilege('maskline_app', p.oid, 'execute') as is_apps,
             has_function_privilege('maskline_compliance', p.oid, 'execute') as is_compliances
         from pg_proc p where p.pronamespace = 'public'::regnamespace order by 1",
    );
    let mut owners = Vec::new();
    for row in functions.fetch_all(&mut owner).await.unwrap() {
        let name: String = row.get("proname");
        assert_eq!(row.get::<String, _>("owner"), "maskline_owner", "{name}: give_to_owner");
        assert!(!row.get::<bool, _>("is_everybodys"), "revoke execute on {name} from public");
        assert!(!row.get::<bool, _>("is_compliances"), "{name}");
        if row.get("prosecdef") {
            let set: Vec<String> = row.get::<Option<_>, _>("proconfig").unwrap_or_default();
            let path = set.iter().find_map(|set| set.strip_prefix("search_path="));
            assert_eq!(path, Some("public, pg_temp"), "{name} finds what its caller made");
        }
        if !row.get::<bool, _>("is_apps") {
            owners.push(name);
        }
    }
    assert_eq!(owners, OWNERS, "who may call it? Its migration must say so");
}

/// A trail with a record in this month, and one of its parts that the service made itself.
async fn trail() -> (Database, PgConnection, Vec<String>) {
    let database = Database::migrated().await;
    let mut app = PgConnection::connect(&database.app_url).await.unwrap();
    run(&mut app, "select audit_make_partitions(now() + interval '6 months', 1)").await.unwrap();
    for at in ["now()", "now() + interval '6 months'", "'2090-01-01'"] {
        let insert = "insert into audit_record (id, at, kind, detail)";
        run(
            &mut app,
            &format!("{insert} values (gen_random_uuid(), {at}, 'received', 'as it was')"),
        )
        .await
        .unwrap();
    }
    let mut parts =
        column(&mut app, "select relid::text from pg_partition_tree('audit_record') order by 1")
            .await;
    assert!(parts.len() >= 6, "{parts:?}");
    parts.sort();
    (database, app, parts)
}

#[tokio::test]
async fn the_service_cannot_change_the_trail_nor_its_form_nor_become_who_can() {
    let (database, mut app, parts) = trail().await;
    let all = "select a::text from audit_record a order by at";
    let before = column(&mut app, all).await;
    assert_eq!(before.len(), 3);
    let tables: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .chain(["audit_leaf", "audit_checkpoint", "audit_removal", "consent_event"])
        .collect();
    for table in tables {
        for attack in [
            "delete from {t}",
            "delete from only {t}",
            "truncate {t}",
            "truncate {t} cascade",
            "drop table {t}",
            "drop table {t} cascade",
            "alter table {t} disable trigger append_only",
            "alter table {t} disable trigger all",
            "alter table {t} enable replica trigger append_only",
            "alter table {t} add column forged text",
            "alter table {t} rename to forged",
            "alter table {t} owner to current_user",
            "drop trigger append_only on {t}",
            "create trigger forged before insert on {t} for each row execute function audit_refuse()",
            "create rule forged as on delete to {t} do instead nothing",
            "create index forged on {t} (at)",
            "create policy forged on {t}",
            "do $$ begin lock table {t} in access exclusive mode; end $$",
            "with gone as (delete from {t} returning *) select count(*) from gone",
        ] {
            let sql = attack.replace("{t}", table);
            assert_eq!(run(&mut app, &sql).await, Err(DENIED.to_owned()), "{sql}");
        }
    }
    for part in &parts {
        for attack in [
            "update {t} set detail = 'forged'",
            "update {t} set detail = 'forged' where false",
            "select * from {t} for update",
            "insert into {t} select * from audit_record on conflict (at, id) do update set detail = 'forged'",
            "merge into {t} t using (select * from audit_record) s on t.id = s.id
             when matched then update set detail = 'forged'",
            "merge into {t} t using (select * from audit_record) s on t.id = s.id when matched then delete",
        ] {
            let sql = attack.replace("{t}", part);
            assert_eq!(run(&mut app, &sql).await, Err(DENIED.to_owned()), "{sql}");
        }
        if part != "audit_record" {
            // A month is written through the whole alone.
            let sql =
                format!("insert into {part} (id, at, kind) values (gen_random_uuid(), now(), 'x')");
            assert_eq!(run(&mut app, &sql).await, Err(DENIED.to_owned()), "{sql}");
            let sql = format!("alter table audit_record detach partition {part}");
            assert_eq!(run(&mut app, &sql).await, Err(DENIED.to_owned()), "{sql}");
        }
    }
    for attack in [
        "select audit_drop_month(date_trunc('month', now())::date)",
        "select audit_lock_month(date_trunc('month', now())::date)",
        "select audit_guard('outbox')",
        "select give_to_owner('outbox')",
        "set session_replication_role = replica",
        "set log_parameter_max_length = -1",
        "set role maskline_owner",
        "set session authorization maskline_owner",
        "grant maskline_owner to current_user",
        "alter role current_user superuser",
        "create role forged",
        "create table forged (id integer)",
        "create view forged as select 1",
        "create function forged() returns integer language sql as 'select 1'",
        "create or replace function audit_refuse() returns trigger language plpgsql as 'begin return null; end'",
        "alter function audit_refuse() rename to forged",
        "drop function audit_make_partitions",
        "alter function audit_make_partitions security invoker",
        "create schema forged",
        "copy audit_record to '/tmp/forged'",
        "copy audit_record to program 'true'",
        "select pg_read_file('postgresql.conf')",
        "delete from person",
        "delete from conversation",
        "delete from carrier_message",
        "delete from task",
        "delete from legal_hold",
        "update audit_removal set records = 0",
        "insert into audit_removal values (date_trunc('month', now())::date, 0, now(), '')",
        "update _sqlx_migrations set success = false",
        "select * from compliance_record",
        "select rolpassword from pg_authid",
    ] {
        assert_eq!(run(&mut app, attack).await, Err(DENIED.to_owned()), "{attack}");
    }
    assert_eq!(column(&mut app, all).await, before);
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    assert_eq!(column(&mut owner, UNGUARDED).await, [""; 0]);
}

#[tokio::test]
async fn the_service_makes_months_that_are_the_owners_and_guarded_but_none_far_away() {
    let (database, mut app, parts) = trail().await;
    // What the caller made is not found before what is the trail's.
    for shadow in [
        "create temporary table audit_record (at timestamptz) partition by range (at)",
        "create temporary table audit_record_default (at timestamptz)",
        "create temporary table pg_inherits ()",
        "set search_path = pg_temp, public",
    ] {
        run(&mut app, shadow).await.unwrap();
    }
    run(&mut app, "select audit_make_partitions(now() + interval '8 months', 2)").await.unwrap();
    for far in [
        "now() + interval '13 months', 1",
        "now() - interval '13 months', 1",
        "now(), 13",
        "'4000-01-01', 1",
    ] {
        let sql = format!("select audit_make_partitions({far})");
        assert_eq!(run(&mut app, &sql).await, Err(DENIED.to_owned()), "{sql}");
    }
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    let made = column(
        &mut owner,
        "select relname || ' ' || pg_get_userbyid(relowner) || ' ' || coalesce(relacl::text, 'nobody')
         from pg_partition_tree('audit_record') join pg_class on oid = relid order by 1",
    )
    .await;
    let is_new = |it: &&String| !parts.iter().any(|part| it.split(' ').next() == Some(part));
    let new: Vec<_> = made.iter().filter(is_new).collect();
    assert_eq!(new.len(), 2, "{made:?}");
    assert!(new.iter().all(|it| it.ends_with(" maskline_owner nobody")), "{made:?}");
    assert_eq!(column(&mut owner, UNGUARDED).await, [""; 0]);
    run(&mut owner, "select audit_make_partitions('2040-01-01', 24)").await.unwrap();
}

#[tokio::test]
async fn the_service_puts_back_a_guard_that_somebody_took_away() {
    let (database, mut app, parts) = trail().await;
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    let month = &parts[1];
    run(&mut owner, &format!("drop trigger append_only on {month}")).await.unwrap();
    run(&mut owner, "alter table audit_leaf disable trigger append_only").await.unwrap();
    run(&mut app, "create temporary table pg_trigger (tgrelid oid)").await.unwrap();
    let again = column(&mut app, "select it::text from audit_guard_again() it order by 1").await;
    assert_eq!(again, ["audit_leaf", month]);
    for table in again {
        let sql = format!("truncate {table}");
        assert_eq!(run(&mut owner, &sql).await, Err(DENIED.to_owned()), "{sql}");
    }
}

#[tokio::test]
async fn all_that_the_service_does_it_does_by_a_login_that_can_only_serve() {
    let test = signing().await;
    let mut conn = test.app.db.acquire().await.unwrap();
    assert_eq!(column(&mut conn, "select current_user::text").await, [app_name()]);
    let quiet = "select current_setting('log_parameter_max_length_on_error')";
    assert_eq!(column(&mut conn, quiet).await, ["0"]);
    audit::make_partitions(&mut conn, Clock::System.now()).await.unwrap();
    drop(conn);

    let (ann, ben) = test.conversation().await;
    ann.texts("which bicycle is it?").await;
    ben.sends(Some("this one"), &[test.hosts(png(8, 8))]).await;
    test.deliver().await;
    assert_eq!((ben.last(), ann.last()), ("which bicycle is it?".into(), "this one".into()));

    // MOVE, BLOCK, a plea, a guess and an opt-out, with what each leaves to staff.
    ben.texts("MOVE").await;
    test.deliver().await;
    let code = code_in(&ben.last()).unwrap();
    let new = test.phone("+12065550199");
    new.texts(&format!("MOVE {code}")).await;
    new.texts("please stop texting me, you fool").await;
    test.phone("+12065550198").texts("JOIN K7QM-4XRT").await;
    test.deliver().await;
    new.texts("BLOCK").await;
    test.deliver().await;
    let tasks = maskline(&test, &["tasks", "list", "--format", "json"]).json();
    let task = tasks[0]["id"].as_str().unwrap().to_owned();
    maskline(&test, &["tasks", "close", &task, "--outcome", "looked at it"]).done();
    maskline(&test, &["optout", "add", "+12065550197", "--evidence", "called"]).done();
    maskline(&test, &["optout", "remove", "+12065550197", "--reason", "called again"]).done();
    ann.texts("STOP").await;
    test.sweep().await;
    test.advance(jiff::SignedDuration::from_hours(24 * 40));
    test.sweep().await;
    worker::remove_old(&test.app).await.unwrap();

    maskline(&test, &["numbers", "reserve", NUMBER, "--for", "a test"]).done();
    maskline(&test, &["numbers", "add", NUMBER]).done();
    maskline(&test, &["keys", "rotate"]).done();
    maskline(&test, &["holds", "add", "--matter", "2026-1", "--number", NUMBER]).done();
    let held = maskline(&test, &["holds", "list", "--format", "json"]).json();
    let hold = held[0]["id"].as_str().unwrap().to_owned();
    let release = ["holds", "release", &hold, "--reason", "over", "--by", "Ann"];
    maskline(&test, &release).done();
    maskline(&test, &["holds", "approve", &hold, "--by", "Ben"]).done();
    let erase = ["people", "erase", "-", "--reason", "asked", "--yes"];
    maskline_reading(&test, &erase, &format!("{}\n", ann.number.as_str())).done();
    // Somebody who was erased and had opted out is silent when they come back.
    ann.texts("hello again").await;
    test.deliver().await;

    seal(&test).await;
    let kept = vec![keep(&sign(&test).await, &crate::seal::signer())];
    let mut app = PgConnection::connect(test.app_url()).await.unwrap();
    let report = verified(&mut app, &kept).await;
    assert!(report.is_intact(), "{report:?}");
}

#[tokio::test]
async fn what_only_the_owner_can_do_says_so() {
    let test = TestApp::start().await;
    let said = maskline(&test, &["keys", "seal"]).failed();
    assert!(said.contains("only the owner of the tables"), "{said}");
    let said = maskline(&test, &["migrate"]).failed();
    assert!(said.contains("Only the owner of the tables migrates"), "{said}");
}
