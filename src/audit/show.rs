//! What was said in a conversation, as people read it.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    clock::SqlTimestamp,
    ids::{PersonId, RecordId, TextId},
    vault::{Author, Field, Unreadable, Vault},
};

/// A record with its words opened. People stand in it by their ids.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its id.
    pub id: RecordId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// The rule that fired, or the answer that was given.
    pub rule: Option<String>,
    /// Who did it.
    pub person: Option<PersonId>,
    /// Whom it was meant for.
    pub recipient: Option<PersonId>,
    /// The masked number that stood between.
    pub masked_number: Option<String>,
    /// The carrier's id of the inbound text that caused it, or of the outbound text itself.
    pub carrier_id: Option<String>,
    /// The outbound text.
    pub text: Option<TextId>,
    /// The words.
    pub words: Option<String>,
    /// The media that came along.
    pub media: Option<Value>,
    /// More about it.
    pub detail: Option<String>,
    /// Words or media are there, and nobody can read them any more.
    pub is_unreadable: bool,
    /// When whoever wrote them was forgotten, which is why.
    pub erased_at: Option<Timestamp>,
}

/// A month in which a conversation was open, and whose records were removed because they are old.
#[derive(Debug, Serialize)]
pub struct Gap {
    /// Always `removed`, where a record says what happened.
    pub kind: &'static str,
    /// The month, such as 2026-03.
    pub month: String,
    /// How many records of all conversations were removed with it.
    pub records: i64,
    /// When.
    pub removed_at: Timestamp,
}

/// The months in which a conversation, or that of a task, was open and whose records are gone.
///
/// # Errors
/// The database's.
pub async fn gaps(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<Gap>> {
    let rows = sqlx::query!(
        r#"select to_char(r.month, 'YYYY-MM') as "month!", r.records, r.at
           from audit_removal r
           join conversation c
               on c.id = any(array(select $1 union select conversation_id from task where id = $1))
               and c.opened_at < (r.month + interval '1 month') at time zone 'utc'
               and coalesce(c.ended_at, 'infinity') >= r.month::timestamp at time zone 'utc'
           order by r.month"#,
        id,
    )
    .fetch_all(conn)
    .await?;
    let gap = rows.into_iter().map(|row| Gap {
        kind: "removed",
        month: row.month,
        records: row.records,
        removed_at: row.at.to_jiff(),
    });
    Ok(gap.collect())
}

/// Whether this is the id of a conversation, and not of a task.
///
/// # Errors
/// The database's.
pub async fn is_conversation(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from conversation where id = $1) as "is!""#, id,)
        .fetch_one(conn)
        .await
}

/// A record as far as it is told without opening it.
#[derive(Debug)]
pub struct Line {
    /// Its id.
    pub id: RecordId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// Who did it.
    pub person: Option<PersonId>,
    /// Whom it was meant for.
    pub recipient: Option<PersonId>,
    /// The masked number that stood between.
    pub masked_number: Option<String>,
    /// The carrier's id of the inbound text that caused it, or of the outbound text itself.
    pub carrier_id: Option<String>,
    /// The outbound text.
    pub text: Option<TextId>,
}

/// Reads of all records of a conversation, or of what a task is about, what holds no words; oldest first.
///
/// # Errors
/// The database's.
pub async fn outline(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<Line>> {
    let rows = sqlx::query!(
        r#"select r.id as "id: RecordId", r.at, r.kind, r.person_id as "person: PersonId",
               r.recipient_id as "recipient: PersonId", r.masked_number, r.carrier_id,
               r.text_id as "text: TextId"
           from audit_record r
           where r.conversation_id = any(array(
                   select $1 union select conversation_id from task where id = $1
               ))
               or r.carrier_id = any(array(select carrier_id from task where id = $1))
               -- Receipts name the text that they are about, and no conversation.
               or r.conversation_id is null and r.text_id = any(array(
                   select text_id from audit_record where conversation_id = $1
               ))
           order by r.at, r.id"#,
        id,
    )
    .fetch_all(conn)
    .await?;
    let line = rows.into_iter().map(|row| Line {
        id: row.id,
        at: row.at.to_jiff(),
        kind: row.kind,
        person: row.person,
        recipient: row.recipient,
        masked_number: row.masked_number,
        carrier_id: row.carrier_id,
        text: row.text,
    });
    Ok(line.collect())
}

/// Reads all records of a conversation, or of what a task is about, oldest first, and shows each as it
/// comes.
///
/// # Errors
/// The database's. A record that cannot be opened says so, and hides no other.
pub async fn records(
    conn: &mut PgConnection,
    vault: &Vault,
    id: Uuid,
    show: impl FnMut(Shown),
) -> sqlx::Result<()> {
    read(conn, vault, id, None, show).await
}

/// Reads these of them.
///
/// # Errors
/// The same.
pub async fn some(
    conn: &mut PgConnection,
    vault: &Vault,
    id: Uuid,
    among: &[RecordId],
) -> sqlx::Result<Vec<Shown>> {
    let among: Vec<Uuid> = among.iter().map(|id| id.uuid()).collect();
    let mut shown = Vec::new();
    read(conn, vault, id, Some(&among), |record| shown.push(record)).await?;
    Ok(shown)
}

async fn read(
    conn: &mut PgConnection,
    vault: &Vault,
    id: Uuid,
    among: Option<&[Uuid]>,
    mut show: impl FnMut(Shown),
) -> sqlx::Result<()> {
    let mut rows = sqlx::query!(
        r#"select r.id as "id: RecordId", r.at, r.kind, r.rule, r.person_id as "person: PersonId",
               r.recipient_id as "recipient: PersonId", r.masked_number,
               r.carrier_id, r.text_id as "text: TextId", r.body_sealed, r.media_sealed, r.detail,
               r.author_id as "author: PersonId", k.wrapped_key as "author_key?",
               k.erased_at as "erased_at?: SqlTimestamp"
           from audit_record r
           left join person k on k.id = r.author_id
           where ($2::uuid[] is null or r.id = any($2)) and (r.conversation_id = any(array(
                   select $1 union select conversation_id from task where id = $1
               ))
               or r.carrier_id = any(array(select carrier_id from task where id = $1))
               -- Receipts name the text that they are about, and no conversation.
               or r.conversation_id is null and r.text_id = any(array(
                   select text_id from audit_record where conversation_id = $1
               )))
           order by r.at, r.id"#,
        id,
        among,
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await? {
        let opened = vault
            .author_of(row.author, row.author_key.as_deref())
            .and_then(|author| open(&author, row.id, row.body_sealed, row.media_sealed));
        let is_unreadable = opened.is_err();
        let (words, media) = opened.unwrap_or_default();
        show(Shown {
            id: row.id,
            at: row.at.to_jiff(),
            kind: row.kind,
            rule: row.rule,
            person: row.person,
            recipient: row.recipient,
            masked_number: row.masked_number,
            carrier_id: row.carrier_id,
            text: row.text,
            words,
            media,
            detail: row.detail,
            is_unreadable,
            erased_at: row.erased_at.map(SqlTimestamp::to_jiff).filter(|_| is_unreadable),
        });
    }
    Ok(())
}

/// The words and the media of a record.
fn open(
    author: &Author,
    id: RecordId,
    body: Option<Vec<u8>>,
    media: Option<Vec<u8>>,
) -> Result<(Option<String>, Option<Value>), Unreadable> {
    let words = body.map(|sealed| author.read(Field::RecordBody, id, &sealed)).transpose()?;
    let media = media.map(|sealed| author.open(Field::RecordMedia, id, &sealed)).transpose()?;
    let media = media.map(|json| serde_json::from_slice(&json).map_err(|_| Unreadable));
    Ok((words, media.transpose()?))
}
