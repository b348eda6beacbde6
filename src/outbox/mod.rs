//! Promises: texts that are committed but not yet accepted by the carrier.
//!
//! A text is promised in the transaction that decided on it. The worker claims it under a lease,
//! sends it with no transaction open, and settles what became of it. A lane is one person in one
//! conversation: its texts leave one at a time, in the order in which they were committed, and one
//! of which nobody knows whether it left holds up those behind it.

pub mod backlog;
mod claim;
mod dropped;
mod failures;
mod found;
mod front;
mod held;
mod lanes;
mod left;
pub mod limit;
mod mend;
mod pictures;
pub mod receipts;
mod redirect;
mod settle;
mod settler;
pub mod staff;
mod told;
mod twice;
mod unknown;
pub mod worker;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::{
    dropped::{drop_erased, drop_queued, drop_words},
    found::{Unsettled, accept_found, unsettled},
    held::release,
    pictures::open_until,
    redirect::redirect,
};
use crate::{
    audit::{self, Columns, Record},
    clock::SqlTimestamp,
    ids::{ConversationId, MaskedNumberId, PersonId, TextId},
    vault::{Author, Field, Sealed},
};

/// The longest wait between two tries, whatever the carrier asks for.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);

/// A time that no lease and no wait set now would reach: what lies beyond it was written by a clock
/// that has been set back since.
fn absurd(now: Timestamp) -> Timestamp {
    now.saturating_add(LONGEST_WAIT * 2).unwrap_or(Timestamp::MAX)
}

/// A text to be sent.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else about how it leaves")]
pub struct Promise {
    /// Its id, which names it in the receipts' callback.
    pub id: TextId,
    /// The carrier's id of the inbound text that called for it, if one did.
    pub cause: Option<String>,
    /// The conversation that it belongs to.
    pub conversation: Option<ConversationId>,
    /// Who gets it.
    pub to: PersonId,
    /// The masked number that it comes from.
    pub through: MaskedNumberId,
    /// The name of Maskline's own answer; none when it is a participant's words.
    pub answer: Option<&'static str>,
    /// The words; none when there are pictures alone.
    pub body: Option<Sealed>,
    /// Goes out although its recipient opted out.
    pub despite_optout: bool,
    /// When it is of no more use: from then on it is dropped, never sent.
    pub give_up_at: Option<Timestamp>,
    /// Goes before all that is not.
    pub urgent: bool,
    /// Is never sent again once its outcome is unknown.
    pub once: bool,
    /// Has pictures, and is held until they are ready.
    pub pictures: bool,
    /// The trace that called for it, in which it is sent, where one is written.
    pub traceparent: Option<String>,
}

/// Seals the words of the text with this id, if there are any.
pub fn seal(author: &Author, text: TextId, words: &str) -> Option<Sealed> {
    (!words.is_empty()).then(|| author.seal(Field::OutboxBody, text, words.as_bytes()))
}

/// Puts these texts into the outbox, in their order, and the records into the trail, in one
/// statement. Words that are passed on begin the silence of their conversation anew.
pub async fn promise(
    conn: &mut PgConnection,
    promises: &[Promise],
    records: &[Record],
    now: Timestamp,
) -> sqlx::Result<()> {
    if promises.is_empty() {
        return audit::record(conn, records, now).await;
    }
    let ids: Vec<_> = promises.iter().map(|promise| promise.id.uuid()).collect();
    let kinds: Vec<_> = promises.iter().map(|promise| kind(promise).to_owned()).collect();
    let despite: Vec<_> = promises.iter().map(|promise| promise.despite_optout).collect();
    let conversations: Vec<_> =
        promises.iter().map(|promise| promise.conversation.map(ConversationId::uuid)).collect();
    let recipients: Vec<_> = promises.iter().map(|promise| promise.to.uuid()).collect();
    let numbers: Vec<_> = promises.iter().map(|promise| promise.through.uuid()).collect();
    let causes: Vec<_> = promises.iter().map(|promise| promise.cause.clone()).collect();
    let bodies: Vec<_> =
        promises.iter().map(|promise| promise.body.as_ref().map(Sealed::to_bytes)).collect();
    let authors: Vec<_> = promises.iter().map(author).collect();
    let urgent: Vec<_> = promises.iter().map(|promise| promise.urgent).collect();
    let once: Vec<_> = promises.iter().map(|promise| promise.once).collect();
    let pictures: Vec<_> = promises.iter().map(|promise| promise.pictures).collect();
    let traces: Vec<_> = promises.iter().map(|promise| promise.traceparent.clone()).collect();
    let give_up: Vec<Option<SqlTimestamp>> =
        promises.iter().map(|promise| promise.give_up_at.map(ToSqlx::to_sqlx)).collect();
    let records = Columns::of(records);
    sqlx::query!(
        "with promised as (
             insert into outbox (id, kind, despite_optout, conversation_id, recipient_id,
                 masked_number_id, cause, body_sealed, author_id, queued_at, due_at, give_up_at,
                 urgent, once, is_mms, held, traceparent)
             select id, kind, despite_optout, conversation_id, recipient_id,
                 masked_number_id, cause, body, author_id, $1, $1, give_up_at, urgent, once,
                 pictures, pictures, traceparent
             from unnest($2::uuid[], $3::text[], $4::boolean[], $5::uuid[], $6::uuid[], $7::uuid[],
                 $8::text[], $9::bytea[], $10::timestamptz[], $11::boolean[], $12::boolean[],
                 $25::boolean[], $26::uuid[], $28::text[])
                 with ordinality
                 as new (id, kind, despite_optout, conversation_id, recipient_id,
                     masked_number_id, cause, body, give_up_at, urgent, once, pictures, author_id,
                     traceparent, place)
             order by place
         ), talked as (
             update conversation
             set last_talk_at = $1
             where id = any(array(
                 select conversation_id
                 from unnest($3::text[], $5::uuid[]) as new (kind, conversation_id)
                 where kind = 'relay'
             ))
         )
         insert into audit_record (id, at, kind, rule, conversation_id, person_id, recipient_id,
             masked_number, carrier_id, text_id, author_id, body_sealed, media_sealed, detail)
         select id, $1, kind, rule, conversation_id, person_id, recipient_id,
             masked_number, carrier_id, text_id, author_id, body_sealed, media_sealed, detail
         from unnest($13::uuid[], $14::text[], $15::text[], $16::uuid[], $17::uuid[], $18::uuid[],
             $19::text[], $20::text[], $21::uuid[], $22::bytea[], $23::bytea[], $24::text[],
             $27::uuid[])
             as new (id, kind, rule, conversation_id, person_id, recipient_id,
                 masked_number, carrier_id, text_id, body_sealed, media_sealed, detail, author_id)",
        now.to_sqlx() as _,
        &ids,
        &kinds,
        &despite,
        &conversations as _,
        &recipients,
        &numbers,
        &causes as _,
        &bodies as _,
        &give_up as _,
        &urgent,
        &once,
        &records.ids,
        &records.kinds,
        &records.rules as _,
        &records.conversations as _,
        &records.people as _,
        &records.recipients as _,
        &records.masked_numbers as _,
        &records.carrier_ids as _,
        &records.texts as _,
        &records.bodies as _,
        &records.media as _,
        &records.details as _,
        &pictures,
        &authors as _,
        &records.authors as _,
        &traces as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn author(promise: &Promise) -> Option<Uuid> {
    promise.body.as_ref().and_then(Sealed::author).map(PersonId::uuid)
}

fn kind(promise: &Promise) -> &'static str {
    if promise.answer.is_some() { "answer" } else { "relay" }
}
