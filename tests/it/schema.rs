//! The database says no: every invariant, attacked with plain SQL by the owner of the tables.

use futures_util::future::join_all;
use maskline::database::{self, MIGRATIONS};
use sqlx::{Connection, PgConnection, migrate::Migrator};

use crate::support::Database;

const UNIQUE: &str = "23505";
const CHECK: &str = "23514";

struct Attack {
    conn: PgConnection,
    _database: Database,
}

impl Attack {
    /// Three people, two masked numbers, and a conversation `c1` in which the first one waits.
    async fn begin() -> Self {
        let database = Database::migrated().await;
        let conn = PgConnection::connect(&database.url).await.unwrap();
        let mut attack = Self { conn, _database: database };
        for sql in [
            "insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
             select id, decode(md5(id::text), 'hex'), '\\x00', '\\x00', now()
             from unnest(array[{p1}, {p2}, {p3}]::uuid[]) id",
            "insert into masked_number values ({m1}, '+14155550100', now()),
                 ({m2}, '+14155550101', now())",
            "insert into conversation values ({c1}, 'K7QM4XRT', now(), 'waiting', now())",
            "insert into participant values ({c1}, 1, {p1}, {m1}, now())",
        ] {
            attack.succeeds(sql).await;
        }
        attack
    }

    async fn run(&mut self, sql: &str) -> Result<(), (String, String)> {
        let sql = ids(sql);
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut self.conn).await;
        done.map(drop).map_err(|error| {
            let error = error.into_database_error().unwrap();
            let constraint = error.constraint().unwrap_or_default().to_owned();
            (error.code().unwrap().into_owned(), constraint)
        })
    }

    async fn succeeds(&mut self, sql: &str) {
        assert_eq!(self.run(sql).await, Ok(()), "{sql}");
    }

    /// The statement is refused with this SQLSTATE by this constraint.
    async fn fails(&mut self, sql: &str, code: &str, constraint: &str) {
        assert_eq!(self.run(sql).await, Err((code.into(), constraint.into())), "{sql}");
    }
}

/// Puts ids for `{p1}` and the like.
fn ids(sql: &str) -> String {
    let mut sql = sql.to_owned();
    while let Some(at) = sql.find('{') {
        let name = &sql[at + 1..at + 3];
        let hex = format!("{:02x}", name.as_bytes()[0]) + &name[1..];
        sql.replace_range(at..at + 4, &format!("'00000000-0000-0000-0000-{hex:0>12}'"));
    }
    sql
}

#[tokio::test]
async fn a_code_is_unique_among_open_conversations_and_free_again_after() {
    let mut db = Attack::begin().await;
    let waiting = "insert into conversation values ({c2}, 'K7QM4XRT', now(), 'waiting', now())";
    let active = "insert into conversation values ({c2}, 'K7QM4XRT', now(), 'active', now())";
    let ended = "insert into conversation
                 values ({c3}, 'K7QM4XRT', now(), 'ended', now(), now(), 'left')";
    let index = "conversation_open_code";
    db.fails(waiting, UNIQUE, index).await;
    db.fails(active, UNIQUE, index).await;
    db.succeeds(ended).await;
    db.fails(
        "update conversation set state = 'active', ended_at = null, end_reason = null
              where id = {c3}",
        UNIQUE,
        index,
    )
    .await;
    db.succeeds("update conversation set state = 'active' where id = {c1}").await;
    db.fails(waiting, UNIQUE, index).await;
    db.succeeds(
        "update conversation set state = 'ended', ended_at = now(), end_reason = 'left'
                 where id = {c1}",
    )
    .await;
    db.succeeds(waiting).await;
}

#[tokio::test]
async fn a_person_is_in_one_open_conversation_for_each_masked_number() {
    let mut db = Attack::begin().await;
    db.succeeds("insert into conversation values ({c2}, 'K7QM4XRU', now(), 'waiting', now())")
        .await;
    let same = "insert into participant values ({c2}, 2, {p1}, {m1}, now())";
    db.fails(same, UNIQUE, "participant_one_open_per_number").await;
    db.succeeds("insert into participant values ({c2}, 1, {p1}, {m2}, now())").await;
    db.fails(
        "update participant set masked_number_id = {m1} where conversation_id = {c2}",
        UNIQUE,
        "participant_one_open_per_number",
    )
    .await;
    db.succeeds("delete from participant where conversation_id = {c2}").await;
    db.succeeds("update participant set left_at = now() where conversation_id = {c1}").await;
    db.succeeds(same).await;
    db.fails(
        "update participant set left_at = null where conversation_id = {c1}",
        UNIQUE,
        "participant_one_open_per_number",
    )
    .await;
}

#[tokio::test]
async fn a_conversation_has_two_seats() {
    let mut db = Attack::begin().await;
    db.succeeds("insert into participant values ({c1}, 2, {p2}, {m1}, now())").await;
    for seat in [0, 3, -1] {
        let third =
            format!("insert into participant values ({{c1}}, {seat}, {{p3}}, {{m1}}, now())");
        db.fails(&third, CHECK, "participant_seat_check").await;
    }
    for seat in [1, 2] {
        let taken =
            format!("insert into participant values ({{c1}}, {seat}, {{p3}}, {{m1}}, now())");
        db.fails(&taken, UNIQUE, "participant_pkey").await;
    }
    // Who has left keeps the seat: it was theirs.
    db.succeeds("update participant set left_at = now() where seat = 2").await;
    db.fails(
        "insert into participant values ({c1}, 2, {p3}, {m1}, now())",
        UNIQUE,
        "participant_pkey",
    )
    .await;
    db.succeeds("delete from participant where seat = 2").await;
    db.fails(
        "insert into participant values ({c1}, 2, {p1}, {m2}, now())",
        UNIQUE,
        "participant_conversation_id_person_id_key",
    )
    .await;
}

#[tokio::test]
async fn a_carrier_id_is_taken_once() {
    let mut db = Attack::begin().await;
    let inbound = "insert into carrier_message values ('mdr2-1', 'inbound', now())";
    db.succeeds(inbound).await;
    db.fails(inbound, UNIQUE, "carrier_message_pkey").await;
    db.fails(
        "insert into carrier_message values ('mdr2-1', 'outbound', now(), {t1}, 'sent')",
        UNIQUE,
        "carrier_message_pkey",
    )
    .await;
    db.succeeds("insert into carrier_message values ('mdr2-2', 'outbound', now(), {t1}, 'sent')")
        .await;
    // One text may have been accepted twice.
    db.succeeds("insert into carrier_message values ('mdr2-3', 'outbound', now(), {t1}, 'sent')")
        .await;
}

#[tokio::test]
async fn a_number_and_a_masked_number_stand_once() {
    let mut db = Attack::begin().await;
    db.fails(
        "insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
         select {p4}, tag, wrapped_key, number_sealed, now() from person where id = {p1}",
        UNIQUE,
        "person_tag_key",
    )
    .await;
    db.fails(
        "insert into masked_number values ({m4}, '+14155550100', now())",
        UNIQUE,
        "masked_number_number_key",
    )
    .await;
    for number in [
        "",
        "12065550104",
        "+0206555010",
        "+1206555010x",
        "+123456",
        "+1234567890123456",
        " +12065550104",
        "+12065550104\n",
    ] {
        db.fails(
            &format!("insert into masked_number values ({{m4}}, '{number}', now())"),
            CHECK,
            "masked_number_number_check",
        )
        .await;
    }
}

#[tokio::test]
async fn a_masked_number_stays_for_good() {
    let mut db = Attack::begin().await;
    // Nobody looks again whether the number of a text is there.
    db.succeeds(
        "insert into outbox (id, kind, recipient_id, masked_number_id, body_sealed, queued_at, due_at)
         values ({t1}, 'answer', {p1}, {m2}, '\\x00', now(), now())",
    )
    .await;
    for sql in [
        "delete from masked_number where id = {m2}",
        "truncate masked_number cascade",
        "truncate masked_number, outbox cascade",
        "update masked_number set id = {m4} where id = {m2}",
    ] {
        db.fails(sql, "P0001", "").await;
    }
    db.succeeds("update masked_number set id = id, state = 'retiring' where id = {m2}").await;
}

#[tokio::test]
async fn a_person_stays_for_good() {
    let mut db = Attack::begin().await;
    for sql in [
        "delete from person where id = {p3}",
        "truncate person cascade",
        "update person set id = {p4} where id = {p3}",
    ] {
        db.fails(sql, "P0001", "").await;
    }
    db.succeeds("update person set id = id, first_seen_at = now() where id = {p3}").await;
}

#[tokio::test]
async fn numbers_are_guarded_while_texts_come_in() {
    guarded_under_a_text(20_261_129_000_224, "masked_number").await;
}

#[tokio::test]
async fn people_are_guarded_while_texts_come_in() {
    guarded_under_a_text(20_261_130_000_226, "person").await;
}

/// Migrates to this version while a text is under way that has looked at the table.
async fn guarded_under_a_text(version: i64, table: &str) {
    let database = Database::empty().await;
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    let older = MIGRATIONS.iter().filter(|it| it.version < version).cloned().collect::<Vec<_>>();
    let before = Migrator { migrations: older.into(), ..Migrator::DEFAULT };
    before.run(&mut owner).await.unwrap();
    let fill = ids("insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
         values ({p1}, decode(md5('ann'), 'hex'), '\\x00', '\\x00', now());
         insert into masked_number values ({m1}, '+14155550100', now())");
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut owner).await.unwrap();

    // A text looks at the table first, and writes down what it promises after the migration has come.
    let mut taking_in = PgConnection::connect(&database.url).await.unwrap();
    let mut text = taking_in.begin().await.unwrap();
    let look = sqlx::AssertSqlSafe(format!("select from {table}"));
    sqlx::raw_sql(look).execute(&mut *text).await.unwrap();
    let mut conn = PgConnection::connect(&database.url).await.unwrap();
    let migration = MIGRATIONS.run(&mut conn);
    let waits = "select exists (select from pg_locks l join pg_database d on d.oid = l.database
                 where d.datname = current_database() and not l.granted)";
    let promise = ids(
        "insert into outbox (id, kind, recipient_id, masked_number_id, body_sealed, queued_at, due_at)
         values ({t1}, 'answer', {p1}, {m1}, '\\x00', now(), now())",
    );
    let story = async {
        // It waits, steps back, and tries again.
        for is_waiting in [true, false, true] {
            let waits = || sqlx::query_scalar::<_, bool>(waits);
            while waits().fetch_one(&mut owner).await.unwrap() != is_waiting {
                tokio::task::yield_now().await;
            }
        }
        sqlx::raw_sql(sqlx::AssertSqlSafe(promise)).execute(&mut *text).await.unwrap();
        text.commit().await.unwrap();
        Ok(())
    };
    tokio::try_join!(migration, story).unwrap();
}

#[tokio::test]
async fn a_code_has_eight_letters_of_its_alphabet_and_a_plain_digit() {
    let mut db = Attack::begin().await;
    let odd = "01BILOSZabcz- éÄ７'";
    let with = |c: char| format!("K7QM4XR{}", c.to_string().replace('\'', "''"));
    let mut codes: Vec<String> = odd.chars().map(with).collect();
    codes.extend(
        ["", "K7QM4XR", "K7QM4XRTT", "K7QM-4XRT", "KKKKKKKK", "K2K5K8KK", "K7QM4XRT\n"]
            .map(str::to_owned),
    );
    for code in codes {
        let sql =
            format!("insert into conversation values ({{c2}}, '{code}', now(), 'waiting', now())");
        let (sqlstate, constraint) = db.run(&sql).await.unwrap_err();
        assert_eq!(sqlstate, CHECK, "{code}");
        assert!(constraint.starts_with("conversation_code_check"), "{code}: {constraint}");
    }
    db.succeeds("insert into conversation values ({c2}, '23456789', now(), 'waiting', now())")
        .await;
}

#[tokio::test]
async fn a_state_and_its_columns_agree() {
    let mut db = Attack::begin().await;
    db.succeeds("insert into carrier_message values ('cause', 'inbound', now())").await;
    let conversation = [
        "'open', now(), null, null",
        "'ended', now(), null, null",
        "'ended', now(), now(), null",
        "'ended', now(), null, 'left'",
        "'waiting', now(), now(), 'left'",
        "'active', now(), now(), null",
        "'active', now(), null, 'left'",
    ]
    .map(|rest| format!("insert into conversation values ({{c2}}, 'K7QM4XRU', now(), {rest})"));
    let message = [
        "'', 'inbound', now(), null, null, null",
        "'1', 'sideways', now(), null, null, null",
        "'1', 'inbound', now(), {t1}, null, null",
        "'1', 'inbound', now(), null, 'sent', null",
        "'1', 'outbound', now(), null, 'sent', null",
        "'1', 'outbound', now(), {t1}, null, null",
        "'1', 'outbound', now(), {t1}, 'lost', null",
    ]
    .map(|row| format!("insert into carrier_message values ({row})"));
    let text = [
        "'letter', false, {c1}, 'x', 'queued', null",
        "'relay', false, null, 'x', 'queued', null",
        "'relay', true, {c1}, 'x', 'queued', null",
        "'relay', false, {c1}, null, 'queued', null",
        "'relay', false, {c1}, 'x', 'sent', null",
        "'relay', false, {c1}, 'x', 'queued', now()",
        "'relay', false, {c1}, 'x', 'unknown', now()",
        "'relay', false, {c1}, 'x', 'sending', null",
    ]
    .map(|row| {
        format!(
            "insert into outbox (kind, despite_optout, conversation_id, body_sealed, state, leased_until,
                 id, recipient_id, masked_number_id, cause, queued_at, due_at)
             values ({row}, {{t1}}, {{p1}}, {{m1}}, 'cause', now(), now())"
        )
    });
    for sql in conversation.iter().chain(&message).chain(&text) {
        assert_eq!(db.run(sql).await.unwrap_err().0, CHECK, "{sql}");
    }
    db.succeeds(&text[0].replace("letter", "relay")).await;
}

#[test]
fn the_migrations_of_the_program_are_those_of_the_folder() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    let built_in: Vec<_> = MIGRATIONS
        .iter()
        .map(|migration| {
            let name = migration.description.replace(' ', "_");
            (format!("{}_{name}.sql", migration.version), migration.sql.as_str().to_owned())
        })
        .collect();
    assert_eq!(built_in, files);
}

#[tokio::test]
async fn several_may_migrate_at_once() {
    let empty = Database::empty().await;
    let many = (0..4).map(async |_| {
        let db = database::connect_for_command(&empty.url.clone().into()).await.unwrap();
        MIGRATIONS.run(&db).await
    });
    for migrated in join_all(many).await {
        migrated.unwrap();
    }
}
