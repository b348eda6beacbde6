//! The SQL that applies a decision to conversations.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    conversation::{
        Address, Conversation, EndReason,
        effect::{Fresh, Terms},
    },
    ids::{ConversationId, PersonId},
};

/// Opens a conversation unless its code is taken; the unique index decides.
#[must_use = "false means that the code is taken, and another must be drawn"]
pub async fn open(
    conn: &mut PgConnection,
    fresh: &Fresh,
    terms: &Terms,
    reopens: Option<ConversationId>,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let opened = sqlx::query!(
        "insert into conversation (id, code, code_expires_at, state, opened_at, silence_seconds,
             ends_at, next_look_at, reopens)
         values ($1, $2, $3, 'waiting', $4, $5, $6, $3, $7)
         on conflict (code) where state <> 'ended' do nothing",
        fresh.id as _,
        fresh.code.as_str(),
        terms.expires_at.to_sqlx() as _,
        now.to_sqlx() as _,
        i32::try_from(terms.silence.as_secs()).unwrap_or(i32::MAX),
        terms.ends_at.to_sqlx() as _,
        reopens as _,
    )
    .execute(conn)
    .await?;
    Ok(opened.rows_affected() == 1)
}

/// Makes a waiting conversation active. The sweeper looks at once, and sees when to look again.
pub async fn activate(
    conn: &mut PgConnection,
    id: ConversationId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update conversation
         set state = 'active', last_talk_at = $2, next_look_at = $2
         where id = $1",
        id as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives a person a seat: 1 for who opened the conversation, 2 for who joined it.
pub async fn seat(
    conn: &mut PgConnection,
    id: ConversationId,
    seat: i16,
    whose: &Address,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into participant (conversation_id, seat, person_id, masked_number_id, joined_at)
         values ($1, $2, $3, $4, $5)",
        id as _,
        seat,
        whose.person as _,
        whose.through.id as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Begins the silence of a conversation anew.
pub async fn touch(
    conn: &mut PgConnection,
    id: ConversationId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update conversation set last_talk_at = $2 where id = $1",
        id as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that the participants were told that their conversation is about to end.
pub async fn warned(
    conn: &mut PgConnection,
    id: ConversationId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update conversation set warned_at = $2 where id = $1",
        id as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets when each of these is looked at next. Those that have ended are left.
pub async fn look_again(conn: &mut PgConnection, open: &[Conversation]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = open.iter().map(|conversation| conversation.id.uuid()).collect();
    let looks: Vec<_> =
        open.iter().map(|conversation| conversation.next_look().to_sqlx()).collect();
    sqlx::query!(
        "update conversation c
         set next_look_at = new.look
         from unnest($1::uuid[], $2::timestamptz[]) as new (id, look)
         where c.id = new.id and c.state <> 'ended'",
        &ids,
        &looks as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a conversation for everybody in it.
pub async fn end(
    conn: &mut PgConnection,
    id: ConversationId,
    reason: EndReason,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with ended as (
             update conversation
             set state = 'ended', ended_at = $2, end_reason = $3
             where id = $1
         )
         update participant
         set left_at = $2
         where conversation_id = $1",
        id as _,
        now.to_sqlx() as _,
        reason.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes who wants an ended conversation opened again.
pub async fn ask_to_reopen(
    conn: &mut PgConnection,
    id: ConversationId,
    person: PersonId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update conversation
         set reopen_asked_by = $2, reopen_asked_at = $3
         where id = $1",
        id as _,
        person as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that the pairs which the carrier blocked stand in no open conversation any more.
pub async fn settle_carrier_blocks(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "update carrier_block b
         set settled = true
         where not b.settled and not exists (
             select from participant p
             where p.person_id = b.person_id and p.masked_number_id = b.masked_number_id
                 and p.left_at is null
         )"
    )
    .execute(conn)
    .await?;
    Ok(())
}
