//! The SQL of pictures: claim a text's under a lease, settle them, let the text go.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Refusal;
use crate::{
    ids::{ConversationId, MaskedNumberId, MediaId, PersonId, TextId},
    vault::{Author, Field, Unreadable, Vault},
};

/// A picture that this process alone may fetch until its lease ends.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) id: MediaId,
    /// Counts the tries; it fences the answer of a process whose lease has ended.
    pub(super) attempt: i16,
    pub(super) place: i16,
    pub(super) key: String,
    /// When it came in.
    pub(super) since: Timestamp,
    /// Who sent it, under whose key it is stored, and where it lies; unless that cannot be read.
    pub(super) source: Result<(Author, String), Unreadable>,
}

/// What became of a picture.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It lies in the storage.
    Ready { mime: &'static str, bytes: usize, sha256: [u8; 32] },
    /// It is not passed on.
    Refused(Refusal),
}

/// A text whose pictures are all settled, and that is still held.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) text: TextId,
    pub(super) conversation: Option<ConversationId>,
    pub(super) recipient: PersonId,
    pub(super) sender: PersonId,
    pub(super) sender_key: Option<Vec<u8>>,
    /// The number that the pictures were sent to.
    pub(super) through: MaskedNumberId,
    pub(super) through_number: String,
    /// The number that they go out from.
    pub(super) masked_number: String,
    /// The carrier's id of the text that brought them.
    pub(super) cause: Option<String>,
}

/// A picture that is settled.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) id: MediaId,
    pub(super) refused: Option<String>,
    mime: Option<String>,
    bytes: Option<i32>,
    sha256: Option<String>,
}

impl Picture {
    /// What the trail says of it.
    pub(super) fn shown(&self) -> Value {
        match &self.refused {
            Some(why) => json!({"refused": why}),
            None => json!({"mime_type": self.mime, "file_size": self.bytes, "sha256": self.sha256}),
        }
    }
}

/// What is kept of a token.
pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A time that no lease and no wait set now would reach: what lies beyond it was written by a clock
/// that has been set back since.
fn absurd(now: Timestamp) -> Timestamp {
    now.saturating_add(SignedDuration::from_mins(20)).unwrap_or(Timestamp::MAX)
}

/// Whether no text waits for pictures, so that there is nothing to claim or to let go.
pub(super) async fn is_idle(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select not exists (select from outbox where held) as "idle!""#)
        .fetch_one(conn)
        .await
}

/// Claims the pictures of the first text that waits for some, in their order.
pub(super) async fn claim(
    conn: &mut PgConnection,
    vault: &Vault,
    lease: SignedDuration,
    now: Timestamp,
) -> sqlx::Result<Vec<Claim>> {
    let until = now.saturating_add(lease).unwrap_or(Timestamp::MAX);
    let rows = sqlx::query!(
        r#"with due as (
               select o.id
               from outbox o
               where o.held and exists (
                   select from media m
                   where m.text_id = o.id and m.state = 'pending'
                       and (m.due_at <= $1 or m.due_at > $3)
                       and (m.leased_until is null or m.leased_until <= $1 or m.leased_until > $3)
               )
               order by o.seq
               limit 1
               for update skip locked
           )
           update media m
           set attempts = m.attempts + 1, leased_until = $2
           from due
           join media sent on sent.text_id = due.id
           join person sender on sender.id = sent.sender_id
           where m.id = sent.id and m.state = 'pending'
           returning m.id, m.attempts, m.place, m.storage_key, m.source_url_sealed as "url!",
               m.created_at, m.sender_id as "sender_id: PersonId",
               sender.wrapped_key as "sender_key?""#,
        now.to_sqlx() as _,
        until.to_sqlx() as _,
        absurd(now).to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let mut claims: Vec<Claim> = rows
        .into_iter()
        .map(|row| {
            let sender = vault.author_of(Some(row.sender_id), row.sender_key.as_deref());
            let source = sender.and_then(|sender| {
                let url = sender.read(Field::MediaSource, row.id, &row.url)?;
                Ok((sender, url))
            });
            Claim {
                id: row.id,
                attempt: row.attempts,
                place: row.place,
                key: row.storage_key,
                since: row.created_at.to_jiff(),
                source,
            }
        })
        .collect();
    claims.sort_by_key(|claim| claim.place);
    Ok(claims)
}

/// Notes what became of a picture, unless this attempt was given up meanwhile. Where it came from is
/// forgotten.
pub(super) async fn settle(
    conn: &mut PgConnection,
    claim: &Claim,
    outcome: &Outcome,
) -> sqlx::Result<()> {
    let (state, refused, mime, bytes, sha256) = match outcome {
        Outcome::Ready { mime, bytes, sha256 } => {
            ("ready", None, Some(*mime), i32::try_from(*bytes).ok(), Some(&sha256[..]))
        }
        Outcome::Refused(why) => ("refused", Some(why.as_str()), None, None, None),
    };
    sqlx::query!(
        "update media
         set state = $3, refused = $4, mime = $5, bytes = $6, sha256 = $7,
             source_url_sealed = null, leased_until = null
         where id = $1 and attempts = $2 and state = 'pending'",
        claim.id as _,
        claim.attempt,
        state,
        refused,
        mime,
        bytes,
        sha256,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts pictures back, to be tried again after this wait.
pub(super) async fn postpone(
    conn: &mut PgConnection,
    claims: &[Claim],
    wait: SignedDuration,
    now: Timestamp,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = claims.iter().map(|claim| claim.id.uuid()).collect();
    sqlx::query!(
        "update media
         set due_at = $3, leased_until = null
         where id = any($1) and attempts = $2 and state = 'pending'",
        &ids,
        claims.first().map_or(0, |claim| claim.attempt),
        now.saturating_add(wait).unwrap_or(now).to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the texts that wait for no picture any more. One that somebody else holds is left for the
/// next time.
pub(super) async fn lock_settled(conn: &mut PgConnection) -> sqlx::Result<Vec<Settled>> {
    sqlx::query_as!(
        Settled,
        r#"select o.id as text, o.conversation_id as conversation, o.recipient_id as recipient,
               m.sender_id as sender, sender.wrapped_key as sender_key,
               m.masked_number_id as through, n.number as masked_number,
               t.number as through_number, o.cause
           from outbox o
           join media m on m.text_id = o.id and m.place = 1
           join masked_number n on n.id = o.masked_number_id
           join masked_number t on t.id = m.masked_number_id
           join person sender on sender.id = m.sender_id
           where o.held
               and not exists (
                   select from media p where p.text_id = o.id and p.state = 'pending'
               )
           order by o.seq
           for update of o skip locked"#,
    )
    .fetch_all(conn)
    .await
}

/// The pictures of a text, in their order.
pub(super) async fn pictures(conn: &mut PgConnection, text: TextId) -> sqlx::Result<Vec<Picture>> {
    sqlx::query_as!(
        Picture,
        "select id, refused, mime, bytes, encode(sha256, 'hex') as sha256
         from media
         where text_id = $1
         order by place",
        text as _,
    )
    .fetch_all(conn)
    .await
}

/// Opens a picture to whoever has the token.
pub(super) async fn open(
    conn: &mut PgConnection,
    picture: MediaId,
    token: &str,
    until: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update media set token_digest = $2, expires_at = $3 where id = $1",
        picture as _,
        &digest(token)[..],
        until.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
