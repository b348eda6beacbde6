//! Promises: texts that are committed but not yet accepted by the carrier.
//!
//! A text is promised in the transaction that decided on it. The worker claims it under a lease,
//! sends it with no transaction open, and settles what became of it. A lane is one person on one
//! masked number: its texts leave one at a time, in the order in which they were committed.

pub mod backlog;
mod dropped;
mod failures;
pub mod limit;
mod queue;
pub mod receipts;
mod redirect;
pub mod worker;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

pub use self::{
    dropped::{drop_queued, drop_words},
    redirect::redirect,
};
use crate::{
    clock::SqlTimestamp,
    ids::{ConversationId, MaskedNumberId, PersonId, TextId},
};

/// The longest wait between two tries, whatever the carrier asks for.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);

/// A text to be sent.
#[derive(Debug, Clone)]
pub struct Promise {
    /// Its id, which names it in the receipts' callback.
    pub id: TextId,
    /// The conversation that it belongs to.
    pub conversation: Option<ConversationId>,
    /// Who gets it.
    pub to: PersonId,
    /// The masked number that it comes from.
    pub through: MaskedNumberId,
    /// The name of Maskline's own answer; none when it is a participant's words.
    pub answer: Option<&'static str>,
    /// The words.
    pub body: String,
    /// Goes out although its recipient opted out.
    pub despite_optout: bool,
    /// When it is of no more use: from then on it is dropped, never sent.
    pub give_up_at: Option<Timestamp>,
}

/// Puts these texts into the outbox, in their order. `cause` is the carrier's id of the inbound text
/// that called for them, if one did.
pub async fn promise(
    conn: &mut PgConnection,
    promises: &[Promise],
    cause: Option<&str>,
    now: Timestamp,
) -> sqlx::Result<()> {
    if promises.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = promises.iter().map(|promise| promise.id.uuid()).collect();
    let kinds: Vec<_> = promises.iter().map(|promise| kind(promise).to_owned()).collect();
    let despite: Vec<_> = promises.iter().map(|promise| promise.despite_optout).collect();
    let conversations: Vec<_> =
        promises.iter().map(|promise| promise.conversation.map(ConversationId::uuid)).collect();
    let recipients: Vec<_> = promises.iter().map(|promise| promise.to.uuid()).collect();
    let numbers: Vec<_> = promises.iter().map(|promise| promise.through.uuid()).collect();
    let bodies: Vec<_> = promises.iter().map(|promise| promise.body.clone()).collect();
    let give_up: Vec<Option<SqlTimestamp>> =
        promises.iter().map(|promise| promise.give_up_at.map(ToSqlx::to_sqlx)).collect();
    sqlx::query!(
        "insert into outbox (id, kind, despite_optout, conversation_id, recipient_id,
             masked_number_id, cause, body, queued_at, due_at, give_up_at)
         select id, kind, despite_optout, conversation_id, recipient_id,
             masked_number_id, $1, body, $2, $2, give_up_at
         from unnest($3::uuid[], $4::text[], $5::boolean[], $6::uuid[], $7::uuid[], $8::uuid[],
             $9::text[], $10::timestamptz[]) with ordinality
             as new (id, kind, despite_optout, conversation_id, recipient_id,
                 masked_number_id, body, give_up_at, place)
         order by place",
        cause,
        now.to_sqlx() as _,
        &ids,
        &kinds,
        &despite,
        &conversations as _,
        &recipients,
        &numbers,
        &bodies,
        &give_up as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn kind(promise: &Promise) -> &'static str {
    if promise.answer.is_some() { "answer" } else { "relay" }
}
