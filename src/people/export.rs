//! All there is of one person, for them: lines of JSON.
//!
//! What others wrote to them is theirs as far as it reached them. Whom they talked to stands nowhere
//! in it, neither by number nor by id, and neither does what others said of them to staff.

use std::io;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{
    clock::SqlTimestamp,
    ids::{ConsentEventId, ConversationId, PersonId, RecordId},
    vault::{Author, Field, Unreadable, Vault},
};

/// What the first line says that it is.
const FORMAT: &str = "maskline subject export v1";

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database could not be used.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The file could not be written.
    #[error("the file: {0}")]
    File(#[from] io::Error),
}

/// Writes all there is of a person, line by line. Returns how many records.
///
/// # Errors
/// The database's or the file's; and where the person was forgotten, that nothing can be opened.
pub async fn write(
    conn: &mut PgConnection,
    vault: &Vault,
    person: PersonId,
    now: Timestamp,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<usize, ExportError> {
    let found = sqlx::query!(
        "select wrapped_key, number_sealed, first_seen_at from person where id = $1",
        person as _,
    )
    .fetch_one(&mut *conn)
    .await?;
    let wrapped = found.wrapped_key.ok_or(Unreadable).map_err(sqlx::Error::from)?;
    let sealed = found.number_sealed.ok_or(Unreadable).map_err(sqlx::Error::from)?;
    let author = vault.author(person, &wrapped).map_err(sqlx::Error::from)?;
    let number = vault.number(person, &wrapped, &sealed).map_err(sqlx::Error::from)?;
    let head = json!({
        "format": FORMAT,
        "exported_at": now,
        "person": person,
        "number": number.as_str(),
        "first_seen_at": found.first_seen_at.to_jiff(),
    });
    put(to, &head).await?;
    for line in consents(conn, &author, person).await? {
        put(to, &line).await?;
    }
    let count = records(conn, vault, person, to).await?;
    put(to, &json!({"end": count})).await?;
    to.flush().await?;
    Ok(count)
}

async fn put(to: &mut (impl AsyncWrite + Unpin), line: &Value) -> io::Result<()> {
    to.write_all(format!("{line}\n").as_bytes()).await
}

async fn consents(
    conn: &mut PgConnection,
    author: &Author,
    person: PersonId,
) -> sqlx::Result<Vec<Value>> {
    let rows = sqlx::query!(
        r#"select e.id as "id: ConsentEventId", e.at, e.kind, e.rule, e.channel, e.evidence,
               e.evidence_sealed, e.disclosure, m.number as "masked_number?"
           from consent_event e
           left join masked_number m on m.id = e.masked_number_id
           where e.person_id = $1
           order by e.seq"#,
        person as _,
    )
    .fetch_all(conn)
    .await?;
    let lines = rows.into_iter().map(|row| {
        let words = row.evidence_sealed.map(|it| author.read(Field::Evidence, row.id, &it));
        let evidence = words.transpose()?.or(row.evidence);
        Ok(json!({"consent": {
            "at": row.at.to_jiff(), "kind": row.kind, "rule": row.rule, "channel": row.channel,
            "evidence": evidence, "disclosure": row.disclosure, "masked_number": row.masked_number,
        }}))
    });
    lines.collect()
}

/// What they wrote and did, and what reached them. Records about them that others called for say only
/// that they are there.
async fn records(
    conn: &mut PgConnection,
    vault: &Vault,
    person: PersonId,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<usize, ExportError> {
    let mut rows = sqlx::query!(
        r#"select r.id as "id: RecordId", r.at, r.kind, r.rule,
               r.conversation_id as "conversation: ConversationId", r.masked_number, r.carrier_id,
               r.person_id is not distinct from $1 as "is_by!",
               case when r.kind = 'staff' then null else r.detail end as detail,
               r.body_sealed, r.media_sealed, r.author_id as "author: PersonId",
               k.wrapped_key as "author_key?"
           from audit_record r
           left join person k on k.id = r.author_id
               -- Another's words only where they arrived.
               and (k.id = $1 or exists (
                   select from audit_record sent
                   where sent.text_id = r.text_id
                       and sent.kind in ('accepted', 'accepted_twice', 'delivered')
               ))
           where (r.person_id = $1 or r.recipient_id = $1
                   or (r.author_id = $1 and r.author_id is distinct from r.person_id))
               and (r.person_id = $1 or r.kind not in ('blocked', 'person_reported', 'moved'))
               -- Notes of staff are theirs only where they are sealed under the person's key.
               and (r.kind <> 'staff' or r.body_sealed is null or r.author_id = $1)
           order by r.at, r.id"#,
        person as _,
    )
    .fetch(conn);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        let author = vault.author_of(row.author, row.author_key.as_deref()).ok();
        let open =
            |field, sealed: Option<Vec<u8>>| author.as_ref()?.read(field, row.id, &sealed?).ok();
        let words = open(Field::RecordBody, row.body_sealed);
        let media = open(Field::RecordMedia, row.media_sealed);
        let media = media.and_then(|media| serde_json::from_str::<Value>(&media).ok());
        let at = SqlTimestamp::to_jiff(row.at);
        let line = json!({"record": {
            "at": at, "kind": row.kind, "rule": row.rule,
            "direction": if row.is_by { "by you" } else { "to you" },
            "conversation": row.conversation, "masked_number": row.masked_number,
            "carrier_id": row.carrier_id, "words": words, "media": media, "detail": row.detail,
        }});
        put(to, &line).await?;
        count += 1;
    }
    Ok(count)
}
