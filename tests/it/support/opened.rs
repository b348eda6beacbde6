//! What is sealed, opened for a test that looks: temporary tables that stand in front of the real
//! ones and hold the same rows, with numbers and words as people read them.

use maskline::{
    ids::PersonId,
    vault::{Author, Field, Vault},
};
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

/// The tables with something sealed; of each, the column to open, its plain name and type, and whose
/// key opens it.
const SEALED: [(&str, &str, &str, &str, &str, Field); 6] = [
    ("person", "number_sealed", "number", "text", "id", Field::Number),
    ("outbox", "body_sealed", "body", "text", "author_id", Field::OutboxBody),
    ("audit_record", "body_sealed", "body", "text", "author_id", Field::RecordBody),
    ("audit_record", "media_sealed", "media", "jsonb", "author_id", Field::RecordMedia),
    ("consent_event", "evidence_sealed", "evidence", "text", "person_id", Field::Evidence),
    ("media", "source_url_sealed", "source_url", "text", "sender_id", Field::MediaSource),
];

/// Opens what this query asks for, until the end of the transaction: tables that it names stand in
/// front of the real ones. Of the trail only those records are opened for which the condition holds.
pub async fn open(conn: &mut PgConnection, vault: &Vault, sql: &str, condition: &str) {
    if !["number", "person", "body", "media", "evidence"].iter().any(|word| sql.contains(word)) {
        return;
    }
    for table in ["person", "outbox", "audit_record", "consent_event", "media"] {
        if sql.contains(table) {
            let which = if table == "audit_record" { condition } else { "true" };
            let sql = format!(
                "create temporary table {table} on commit drop as
                 select * from public.{table} where {which}"
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *conn).await.unwrap();
        }
    }
    for (table, column, plain, kind, author, field) in SEALED {
        if !sql.contains(table) {
            continue;
        }
        let select = format!(
            "select t.id, t.{column} as sealed, t.{author} as author, p.wrapped_key
             from {table} t
             left join public.person p on p.id = t.{author}
             where t.{column} is not null"
        );
        let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&mut *conn).await.unwrap();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
        let words: Vec<Option<String>> = rows.iter().map(|row| read(vault, row, field)).collect();
        let update = format!(
            "update {table} t set {plain} = opened.words::{kind}
             from unnest($1::uuid[], $2::text[]) as opened (id, words) where t.id = opened.id"
        );
        sqlx::query(AssertSqlSafe(update)).bind(ids).bind(words).execute(&mut *conn).await.unwrap();
        // An empty text has nothing to seal, and reads as one.
        if (table, plain) == ("outbox", "body") {
            let sql = "update outbox set body = '' where body_sealed is null";
            sqlx::raw_sql(sql).execute(&mut *conn).await.unwrap();
        }
    }
}

fn read(vault: &Vault, row: &PgRow, field: Field) -> Option<String> {
    let person: Option<Uuid> = row.get("author");
    let wrapped: Option<Vec<u8>> = row.get("wrapped_key");
    let author: Author = vault.author_of(person.map(PersonId::from), wrapped.as_deref()).ok()?;
    Some(author.read(field, row.get::<Uuid, _>("id"), row.get("sealed")).unwrap())
}
