//! The audit trail can be added to, and nothing else, by whatever way one comes at it.

use futures_util::future::join_all;
use sqlx::{Connection, PgConnection};

use crate::support::Database;

struct Trail {
    conn: PgConnection,
    database: Database,
}

impl Trail {
    /// A trail with a record in every part of it, made ahead or not.
    async fn filled() -> Self {
        let database = Database::migrated().await;
        let conn = PgConnection::connect(&database.url).await.unwrap();
        let mut trail = Self { conn, database };
        trail.run("select audit_make_partitions('2031-11-30 23:59:59+00', 3)").await.unwrap();
        for at in ["now()", "'2031-11-01+00'", "'2031-12-15+00'", "'2032-01-31+00'", "'2090-01-01'"]
        {
            let insert = "insert into audit_record (id, at, kind, detail)";
            trail
                .run(&format!("{insert} values (gen_random_uuid(), {at}, 'received', 'as it was')"))
                .await
                .unwrap();
        }
        trail
    }

    /// Runs a statement; an error is its SQLSTATE.
    async fn run(&mut self, sql: &str) -> Result<(), String> {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut self.conn).await;
        done.map(drop).map_err(|error| {
            error.into_database_error().unwrap().code().unwrap_or_default().into_owned()
        })
    }

    async fn column(&mut self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut self.conn).await.unwrap()
    }

    async fn parts(&mut self) -> Vec<String> {
        self.column(
            "select inhrelid::regclass::text from pg_inherits
             where inhparent = 'audit_record'::regclass order by 1",
        )
        .await
    }

    async fn records(&mut self) -> Vec<String> {
        self.column("select a::text from audit_record a order by at").await
    }
}

#[tokio::test]
async fn nothing_of_the_trail_can_be_changed_or_taken_away() {
    let mut trail = Trail::filled().await;
    let before = trail.records().await;
    let mut tables = trail.parts().await;
    assert!(tables.len() >= 7 && tables.contains(&"audit_record_default".to_owned()), "{tables:?}");
    tables.push("audit_record".to_owned());
    let attacks = [
        "update {t} set detail = 'forged'",
        "update {t} set detail = 'forged' where false",
        "delete from {t}",
        "delete from only {t}",
        "with gone as (delete from {t} returning *) select count(*) from gone",
        "truncate {t}",
        "truncate {t} cascade",
        "truncate block, {t} cascade",
        "insert into {t} select * from {t} on conflict (at, id) do update set detail = 'forged'",
        "merge into {t} t using (select * from {t}) s on t.id = s.id
         when matched then update set detail = 'forged'",
        "merge into {t} t using (select * from {t}) s on t.id = s.id when matched then delete",
    ];
    for role in ["origin", "replica", "local"] {
        trail.run(&format!("set session_replication_role = {role}")).await.unwrap();
        for table in &tables {
            for attack in attacks {
                let sql = attack.replace("{t}", table);
                assert_eq!(trail.run(&sql).await, Err("42501".to_owned()), "{role}: {sql}");
            }
        }
    }
    assert_eq!(trail.records().await, before);
}

#[tokio::test]
async fn an_insert_that_changes_nothing_is_allowed() {
    let mut trail = Trail::filled().await;
    let before = trail.records().await;
    let again = "insert into audit_record select * from audit_record on conflict do nothing";
    assert_eq!(trail.run(again).await, Ok(()));
    assert_eq!(
        trail.run("insert into audit_record select * from audit_record").await,
        Err("23505".to_owned())
    );
    assert_eq!(trail.records().await, before);
}

#[tokio::test]
async fn a_record_finds_its_month_in_utc_and_one_years_ahead_a_place() {
    let mut trail = Trail::filled().await;
    trail.run("set timezone = 'Pacific/Auckland'").await.unwrap();
    trail.run("select audit_make_partitions('2034-05-31 20:00+00', 1)").await.unwrap();
    for (at, place) in [
        ("2034-04-30 23:59:59.999999+00", "audit_record_default"),
        ("2034-05-01 00:00:00+00", "audit_record_2034_05"),
        ("2034-05-31 23:59:59.999999+00", "audit_record_2034_05"),
        ("2034-06-01 00:00:00+00", "audit_record_default"),
        ("2031-12-31 23:59:59+00", "audit_record_2031_12"),
        ("1970-01-01 00:00:00+00", "audit_record_default"),
        ("9999-12-31 00:00:00+00", "audit_record_default"),
    ] {
        let sql = format!(
            "insert into audit_record (id, at, kind) values (gen_random_uuid(), '{at}', 'received')
             returning tableoid::regclass::text"
        );
        assert_eq!(trail.column(&sql).await, [place], "{at}");
    }
}

#[tokio::test]
async fn partitions_are_made_once_whoever_asks_and_however_often() {
    let mut trail = Trail::filled().await;
    let before = trail.parts().await;
    let make = "select audit_make_partitions('2040-11-05+00', 4)";
    let url = trail.database.url.clone();
    let asking = (0..8).map(async |_| {
        let mut conn = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(make).execute(&mut conn).await.unwrap();
    });
    join_all(asking).await;
    let made = trail.parts().await;
    let new: Vec<_> = made.iter().filter(|part| !before.contains(part)).collect();
    assert_eq!(
        new,
        [
            "audit_record_2040_11",
            "audit_record_2040_12",
            "audit_record_2041_01",
            "audit_record_2041_02"
        ]
    );
    trail.run(make).await.unwrap();
    trail.run("select audit_make_partitions('2040-12-01+00', 0)").await.unwrap();
    assert_eq!(trail.parts().await, made);
    for part in new {
        assert_eq!(trail.run(&format!("truncate {part}")).await, Err("42501".to_owned()), "{part}");
    }
}

#[tokio::test]
async fn a_month_with_records_in_the_default_partition_stays_there() {
    let mut trail = Trail::filled().await;
    let before = trail.parts().await;
    // A record of January 2090 lies there already.
    trail.run("select audit_make_partitions('2089-12-01+00', 3)").await.unwrap();
    let made = trail.parts().await;
    let new: Vec<_> = made.into_iter().filter(|part| !before.contains(part)).collect();
    assert_eq!(new, ["audit_record_2089_12", "audit_record_2090_02"]);
    assert_eq!(trail.records().await.len(), 5);
}

#[tokio::test]
async fn whatever_has_lost_its_guard_is_seen_and_guarded_again() {
    let mut trail = Trail::filled().await;
    let mut guarded = trail
        .column("select tgrelid::regclass::text from pg_trigger where tgname = 'append_only'")
        .await;
    guarded.sort();
    for table in ["audit_leaf", "audit_checkpoint", "audit_removal", "consent_event"] {
        assert!(guarded.contains(&table.to_owned()), "{guarded:?}");
    }
    let unguarded = "select unguarded::text from audit_unguarded() unguarded order by 1";
    assert_eq!(trail.column(unguarded).await, [""; 0]);
    for table in &guarded {
        for harm in ["disable trigger", "enable trigger", "enable replica trigger"] {
            // On the parent this reaches the parts, too.
            let harm = format!("alter table only {table} {harm} append_only");
            trail.run(&harm).await.unwrap();
            assert_eq!(trail.column(unguarded).await, [table.as_str()], "{harm}");
            trail.run("select audit_guard_again()").await.unwrap();
            assert_eq!(trail.column(unguarded).await, [""; 0], "{harm}");
        }
        trail.run(&format!("drop trigger append_only on {table}")).await.unwrap();
        assert_eq!(trail.column(unguarded).await, [table.as_str()]);
        trail.run("select audit_guard_again()").await.unwrap();
        assert_eq!(trail.column(unguarded).await, [""; 0]);
    }
}
