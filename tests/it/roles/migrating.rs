//! Who may migrate, and what then belongs to whom.

use futures_util::future::join_all;
use maskline::{
    database::MIGRATIONS,
    demo::postgres::{Options, PrivatePostgres},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{DENIED, column, may, run, statements};
use crate::{
    service::run as maskline,
    support::{app_login, as_app, named, with_login},
};

/// The first migration that knows of roles.
const ROLES: i64 = 20_261_129_000_070;

const OWNERS: &str = "
    select distinct pg_get_userbyid(relowner)::text from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'S') order by 1";

/// A server of its own, where no role has been made yet.
async fn server() -> PrivatePostgres {
    let options = Options { durable: false, max_connections: 60, ..Options::default() };
    PrivatePostgres::start(options).await.unwrap()
}

/// Makes a database that belongs to a login of its own; gives the login's URL.
async fn owned(server: &PrivatePostgres, name: &str, as_what: &str) -> String {
    let admin = server.url("postgres");
    with_login(&admin, name, as_what).await;
    let mut conn = PgConnection::connect(&admin).await.unwrap();
    run(&mut conn, &format!("create database {name} owner {name}")).await.unwrap();
    with_login(&server.url(name), name, as_what).await
}

/// Applies the migrations of the last version that knew of no roles, and leaves something there.
async fn before(url: &str) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let table = "create table _sqlx_migrations (version bigint primary key, description text not null,
        installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null,
        execution_time bigint not null)";
    run(&mut conn, table).await.unwrap();
    for migration in MIGRATIONS.iter().filter(|it| it.version < ROLES) {
        run(&mut conn, migration.sql.as_str()).await.unwrap();
        sqlx::query("insert into _sqlx_migrations values ($1, $2, now(), true, $3, 0)")
            .bind(migration.version)
            .bind(&*migration.description)
            .bind(&*migration.checksum)
            .execute(&mut conn)
            .await
            .unwrap();
    }
    for sql in [
        "insert into masked_number (id, number, added_at) values (gen_random_uuid(), '+14155550100', now())",
        "insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
         values (gen_random_uuid(), decode(md5('x'), 'hex'), '\\x00', '\\x00', now())",
        "insert into audit_record (id, at, kind) values (gen_random_uuid(), now(), 'received')",
    ] {
        run(&mut conn, sql).await.unwrap();
    }
}

#[tokio::test]
async fn several_databases_of_one_server_may_be_migrated_at_once() {
    let server = server().await;
    let names: Vec<String> = (0..6).map(|n| format!("side_by_side_{n}")).collect();
    let mut conn = PgConnection::connect(&server.url("postgres")).await.unwrap();
    for name in &names {
        run(&mut conn, &format!("create database {name}")).await.unwrap();
    }
    let migrated = names.iter().map(async |name| {
        let mut conn = PgConnection::connect(&server.url(name)).await.unwrap();
        MIGRATIONS.run(&mut conn).await
    });
    for done in join_all(migrated).await {
        done.unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn who_may_not_make_the_roles_is_told_what_to_run() {
    let server = server().await;
    let url = owned(&server, "plain", "").await;
    let said = maskline("migrate", &[("DATABASE_URL", &url)]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("roles are missing, and plain may not make them"), "{}", said.err);
    let run_this = said.err.split('`').nth(1).unwrap();
    let mut admin = PgConnection::connect(&server.url("postgres")).await.unwrap();
    run(&mut admin, run_this).await.unwrap_or_else(|error| panic!("{error}: {}", said.err));
    let said = maskline("migrate", &[("DATABASE_URL", &url)]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);

    let mut conn = PgConnection::connect(&url).await.unwrap();
    assert_eq!(column(&mut conn, OWNERS).await, ["plain"]);
    serves(&server.url("plain"), &url).await;
    server.stop().await;
}

/// The service's login may run what it must on a database of this owner, and the owner all; the owner
/// does not serve.
async fn serves(admin: &str, owner: &str) {
    let mut app = PgConnection::connect(&app_login(admin).await).await.unwrap();
    let mut owner_conn = PgConnection::connect(owner).await.unwrap();
    let mut refused = 0;
    for (sql, parameters) in statements() {
        refused += usize::from(may(&mut app, &sql, parameters).await == Err(DENIED.to_owned()));
        let done = may(&mut owner_conn, &sql, parameters).await;
        assert_ne!(done, Err(DENIED.to_owned()), "{sql}");
    }
    assert_eq!(refused, super::STATEMENTS.len());
    run(&mut app, "select audit_make_partitions(now() + interval '5 months', 1)").await.unwrap();
    assert_eq!(run(&mut app, "truncate audit_leaf").await, Err(DENIED.to_owned()));
    let login = maskline::database::login(&mut owner_conn).await.unwrap();
    let said = login.may_serve(false).unwrap_err().to_string();
    assert!(said.contains("owns the audit trail"), "{said}");
    let login = maskline::database::login(&mut app).await.unwrap();
    assert_eq!((login.can_serve(), login.may_serve(false)), (Ok(()), Ok(())));
}

#[tokio::test]
async fn who_may_make_roles_migrates_and_owns_what_was_made() {
    let server = server().await;
    let url = owned(&server, "maker", "createrole").await;
    let said = maskline("migrate", &[("DATABASE_URL", &url)]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let mut conn = PgConnection::connect(&url).await.unwrap();
    assert_eq!(column(&mut conn, OWNERS).await, ["maker"]);
    serves(&server.url("maker"), &url).await;
    server.stop().await;
}

#[tokio::test]
async fn what_a_superuser_migrates_belongs_to_nobody_who_logs_in_and_members_migrate_on() {
    let server = server().await;
    let admin = server.url("postgres");
    before(&admin).await;
    let said = maskline("migrate", &[("DATABASE_URL", &admin)]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let mut conn = PgConnection::connect(&admin).await.unwrap();
    assert_eq!(column(&mut conn, OWNERS).await, ["maskline_owner"]);
    let settings = "select array_to_string(setconfig, ' ') from pg_db_role_setting";
    let settings = column(&mut conn, settings).await;
    assert_eq!(settings, ["log_parameter_max_length=0 log_parameter_max_length_on_error=0"]);

    let member = with_login(&admin, &named("member"), "in role maskline_owner").await;
    serves(&admin, &member).await;
    let mut conn = PgConnection::connect(&member).await.unwrap();
    MIGRATIONS.run(&mut conn).await.unwrap();
    let later = "create table later (id uuid); grant select on later to maskline_app;
                 create function later_too(id uuid) returns uuid language sql as 'select id';
                 select give_to_owner('later', 'later_too(uuid)')";
    run(&mut conn, later).await.unwrap();
    assert_eq!(column(&mut conn, OWNERS).await, ["maskline_owner"]);
    server.stop().await;
}

#[tokio::test]
async fn an_earlier_version_that_runs_as_the_owner_goes_on_after_either_migrates() {
    for by_superuser in [false, true] {
        let server = server().await;
        let url = owned(&server, "earlier", "createrole").await;
        before(&url).await;
        // An earlier process, connected all the time.
        let mut earlier = PgConnection::connect(&url).await.unwrap();
        let admin = server.url("earlier");
        let who = if by_superuser { &admin } else { &url };
        let said = maskline("migrate", &[("DATABASE_URL", who)]).await;
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(column(&mut earlier, "select kind from audit_record").await, ["received"]);
        for sql in [
            "select audit_make_partitions(now(), 4)",
            "select * from audit_guard_again()",
            "select * from take_in_by_tag('{a}', '{+12065550142}', array['\\x00000000000000000000000000000001'::bytea],
                 '{+14155550100}', '{x}', '{x}', '{false}', '{false}', array[gen_random_uuid()],
                 array['\\x00'::bytea], array['\\x00'::bytea], null)",
            "select * from last_met_by_tag('\\x00', 'x')",
            "insert into audit_record (id, at, kind) values (gen_random_uuid(), now(), 'received')",
            "update person set first_seen_at = now()",
        ] {
            assert_eq!(run(&mut earlier, sql).await, Ok(()), "{sql}");
        }
        for (sql, parameters) in statements() {
            let done = may(&mut earlier, &sql, parameters).await;
            assert_ne!(done, Err(DENIED.to_owned()), "{sql}");
        }
        let owners = "select distinct pg_get_userbyid(relowner)::text from pg_class
                      where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v')
                          and relname <> '_sqlx_migrations'";
        assert_eq!(column(&mut earlier, owners).await, ["earlier"]);
        let app = app_login(&admin).await;
        assert_eq!(app, as_app(&admin));
        let mut app = PgConnection::connect(&app).await.unwrap();
        let taken = "select count(*)::text from person";
        let taken: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(taken.to_owned())).fetch_all(&mut app).await.unwrap();
        assert_eq!(taken, ["2"]);
        server.stop().await;
    }
}
