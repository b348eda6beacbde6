//! Texts that never leave: their recipient may not or cannot be texted, or it is too late.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    claim, lanes,
    left::{Left, record_all},
    told::{self, Certainty},
};
use crate::{
    audit::Kind,
    ids::{MaskedNumberId, PersonId, TextId},
    vault::Pen,
};

/// Drops what is queued for somebody who has just opted out, but not the confirmation of that.
///
/// What is being sent this moment can no longer be held back.
pub async fn drop_queued(
    conn: &mut PgConnection,
    person: PersonId,
    now: Timestamp,
) -> sqlx::Result<()> {
    drop_for(conn, person, &Which::MayNotBeTexted, now).await
}

/// Drops the words of somebody that are queued for whoever has just blocked them.
///
/// What is being sent this moment can no longer be held back.
pub async fn drop_words(
    conn: &mut PgConnection,
    person: PersonId,
    of: PersonId,
    now: Timestamp,
) -> sqlx::Result<()> {
    drop_for(conn, person, &Which::WordsOf(of), now).await
}

/// Drops what is queued for a pair that the carrier blocks, the confirmation of an opt-out too: the
/// carrier refuses it like the rest.
pub(super) async fn drop_blocked(
    conn: &mut PgConnection,
    person: PersonId,
    number: MaskedNumberId,
    now: Timestamp,
) -> sqlx::Result<()> {
    drop_for(conn, person, &Which::Through(number), now).await
}

/// Drops what waits for somebody who is forgotten, and what of their words waits for others, also where
/// nobody knows whether it was sent. Returns how many texts.
///
/// What is being sent this moment can no longer be held back.
pub async fn drop_erased(
    conn: &mut PgConnection,
    person: PersonId,
    now: Timestamp,
) -> sqlx::Result<usize> {
    let dropped = sqlx::query_as!(
        Left,
        r#"with dropped as (
               delete from outbox
               where (recipient_id = $1 or author_id = $1) and state in ('queued', 'unknown')
               returning id, conversation_id, recipient_id, sent_to, masked_number_id
           )
           select d.id, d.conversation_id, d.recipient_id, d.sent_to, d.masked_number_id,
               m.number as masked_number, $2::timestamptz as "at!"
           from dropped d
           join masked_number m on m.id = d.masked_number_id"#,
        person as _,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    let count = dropped.len();
    note(conn, dropped, "erased", now).await?;
    Ok(count)
}

/// Which of the texts that are queued for somebody are dropped.
enum Which {
    /// All but those that go out although they opted out.
    MayNotBeTexted,
    /// The other's words.
    WordsOf(PersonId),
    /// Those from one masked number.
    Through(MaskedNumberId),
}

async fn drop_for(
    conn: &mut PgConnection,
    person: PersonId,
    which: &Which,
    now: Timestamp,
) -> sqlx::Result<()> {
    let (why, of, number) = match which {
        Which::MayNotBeTexted => ("opted_out", None, None),
        Which::WordsOf(of) => ("blocked", Some(*of), None),
        Which::Through(number) => ("carrier_blocked", None, Some(*number)),
    };
    let dropped = sqlx::query_as!(
        Left,
        r#"with dropped as (
               delete from outbox
               where recipient_id = $1 and state = 'queued'
                   and case $2
                       when 'opted_out' then not despite_optout
                       when 'carrier_blocked' then masked_number_id = $4
                       else kind = 'relay' and conversation_id in (
                           select conversation_id from participant where person_id = $3
                       )
                   end
               returning id, conversation_id, recipient_id, sent_to, masked_number_id
           )
           select d.id, d.conversation_id, d.recipient_id, d.sent_to, d.masked_number_id,
               m.number as masked_number, $5::timestamptz as "at!"
           from dropped d
           join masked_number m on m.id = d.masked_number_id"#,
        person as _,
        why,
        of as _,
        number as _,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    note(conn, dropped, why, now).await
}

/// Drops texts that were found to wait in vain, each for its reason. Returns how many. Whose words
/// would have been heard in another conversation, or cannot be read, is told that they did not arrive.
pub(super) async fn drop_vain(
    conn: &mut PgConnection,
    vain: &[(TextId, &'static str)],
    pen: &Pen,
    now: Timestamp,
) -> sqlx::Result<usize> {
    let mut count = 0;
    for why in ["opted_out", "carrier_blocked", "too_late", "crossed", "unreadable"] {
        let ids: Vec<Uuid> =
            vain.iter().filter(|(_, of)| *of == why).map(|(id, _)| id.uuid()).collect();
        if ids.is_empty() {
            continue;
        }
        let dropped = sqlx::query_as!(
            Left,
            r#"with vain as (
                   select id from outbox where id = any($1) and state = 'queued'
                   for update skip locked
               ), dropped as (
                   delete from outbox o
                   using vain
                   where o.id = vain.id
                   returning o.id, o.conversation_id, o.recipient_id, o.sent_to,
                       o.masked_number_id
               )
               select d.id, d.conversation_id, d.recipient_id, d.sent_to, d.masked_number_id,
                   m.number as masked_number, $2::timestamptz as "at!"
               from dropped d
               join masked_number m on m.id = d.masked_number_id"#,
            &ids,
            now.to_sqlx() as _,
        )
        .fetch_all(&mut *conn)
        .await?;
        count += dropped.len();
        let untold: Vec<TextId> = if ["crossed", "unreadable"].contains(&why) {
            dropped.iter().map(|left| left.id).collect()
        } else {
            Vec::new()
        };
        note(conn, dropped, why, now).await?;
        for text in untold {
            told::tell(conn, text, Certainty::Failed, pen, now).await?;
        }
    }
    Ok(count)
}

/// Drops texts that were claimed and cannot be opened: nobody will ever read them.
pub(super) async fn drop_unreadable(
    conn: &mut PgConnection,
    unreadable: Vec<TextId>,
    pen: &Pen,
    now: Timestamp,
) -> sqlx::Result<()> {
    if unreadable.is_empty() {
        return Ok(());
    }
    let count = unreadable.len();
    tracing::error!(
        count,
        "texts cannot be decrypted, so they are dropped: somebody changed them or their keys"
    );
    claim::let_go(conn, &unreadable).await?;
    let vain: Vec<_> = unreadable.into_iter().map(|id| (id, "unreadable")).collect();
    drop_vain(conn, &vain, pen, now).await?;
    Ok(())
}

/// Records what was dropped, and lets its lanes go on.
pub(super) async fn note(
    conn: &mut PgConnection,
    dropped: Vec<Left>,
    why: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    let lanes = dropped.iter().map(Left::lane).collect();
    record_all(conn, dropped, Kind::Dropped, why).await?;
    lanes::wake(conn, lanes, now.to_sqlx()).await
}
