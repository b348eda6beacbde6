//! The ledger: an append-only record of everything that happened to every text.
//!
//! A record is written in the transaction of what it records, copies what it needs, and refers to
//! nothing. It never holds a real number; people stand in it by their id, and words are sealed under
//! their author's key. Behind it goes the sealer, whose tree proves that no record was changed.

mod bare;
pub mod behind;
pub(crate) mod canonical;
pub mod checkpoint;
mod columns;
mod copy;
pub mod deeds;
pub mod export;
pub mod extract;
pub mod finding;
pub mod granted;
pub mod guard;
pub mod holds;
pub mod kept;
mod kind;
pub mod note;
pub mod pace;
pub mod publish;
pub mod reach;
mod reader;
pub mod removal;
pub mod retain;
pub mod seal;
pub mod search;
pub mod show;
mod subtrees;
pub mod tree;
pub mod verify;
pub mod walk;

pub(crate) use self::columns::Columns;
pub use self::kind::{Direction, Kind};
use crate::{
    ids::{ConversationId, PersonId, RecordId, TextId},
    phone::PhoneNumber,
    vault::{Author, Field, Sealed},
};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

/// One record of the trail.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id, to which its words are bound.
    pub id: RecordId,
    /// What happened.
    pub kind: Kind,
    /// The rule that fired, or the answer that was given.
    pub rule: Option<&'static str>,
    /// The conversation that it happened in.
    pub conversation: Option<ConversationId>,
    /// Who did it: the author of a text.
    pub person: Option<PersonId>,
    /// Whom it was meant for.
    pub recipient: Option<PersonId>,
    /// The masked number that stood between.
    pub masked_number: Option<PhoneNumber>,
    /// The carrier's id of the inbound text that caused it, or of the outbound text itself.
    pub carrier_id: Option<String>,
    /// The outbound text.
    pub text: Option<TextId>,
    /// The words.
    pub body: Option<Sealed>,
    /// The media that came along, as JSON.
    pub media: Option<Sealed>,
    /// More about it, such as the reason.
    pub detail: Option<String>,
}

impl Record {
    /// A record of this kind that says nothing else yet.
    pub fn of(kind: Kind) -> Self {
        Self {
            id: RecordId::new(),
            kind,
            rule: None,
            conversation: None,
            person: None,
            recipient: None,
            masked_number: None,
            carrier_id: None,
            text: None,
            body: None,
            media: None,
            detail: None,
        }
    }

    /// Puts words on it, under their author's key.
    #[must_use]
    pub fn saying(mut self, author: &Author, words: &str) -> Self {
        self.body = Some(author.seal(Field::RecordBody, self.id, words.as_bytes()));
        self
    }

    /// Puts media on it, under the key of who sent them. There is one author in a record.
    #[must_use]
    pub fn showing(mut self, author: &Author, media: &serde_json::Value) -> Self {
        self.media = Some(author.seal(Field::RecordMedia, self.id, media.to_string().as_bytes()));
        self
    }

    /// Whose words and media are on it; none where they are Maskline's, or there are none.
    fn author(&self) -> Option<PersonId> {
        self.body.as_ref().or(self.media.as_ref()).and_then(Sealed::author)
    }
}

/// Appends these records, in their order, in one statement.
pub async fn record(
    conn: &mut PgConnection,
    records: &[Record],
    now: Timestamp,
) -> sqlx::Result<()> {
    let records = Columns::of(records);
    sqlx::query!(
        "insert into audit_record (id, at, kind, rule, conversation_id, person_id, recipient_id,
             masked_number, carrier_id, text_id, author_id, body_sealed, media_sealed, detail)
         select id, $1, kind, rule, conversation_id, person_id, recipient_id,
             masked_number, carrier_id, text_id, author_id, body_sealed, media_sealed, detail
         from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[],
             $8::text[], $9::text[], $10::uuid[], $11::uuid[], $12::bytea[], $13::bytea[],
             $14::text[])
             as new (id, kind, rule, conversation_id, person_id, recipient_id,
                 masked_number, carrier_id, text_id, author_id, body_sealed, media_sealed, detail)",
        now.to_sqlx() as _,
        &records.ids,
        &records.kinds,
        &records.rules as _,
        &records.conversations as _,
        &records.people as _,
        &records.recipients as _,
        &records.masked_numbers as _,
        &records.carrier_ids as _,
        &records.texts as _,
        &records.authors as _,
        &records.bodies as _,
        &records.media as _,
        &records.details as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the partitions of this month and the two after it, where they are missing.
pub async fn make_partitions(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query!("select audit_make_partitions($1, 3) as done", now.to_sqlx() as _)
        .fetch_one(conn)
        .await?;
    Ok(())
}

/// Whether a text of this person's to this number came in that was sent later than at that time.
/// Where nobody knows when a text was sent, it was when it came in.
pub async fn has_received(
    conn: &mut PgConnection,
    person: PersonId,
    masked_number: &PhoneNumber,
    sent_at: Timestamp,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from audit_record r
               join carrier_message m on m.carrier_id = r.carrier_id
               where r.person_id = $1 and r.at > $3 and r.kind = 'received'
                   and r.masked_number = $2 and coalesce(m.sent_at, r.at) > $3
           ) as "has!""#,
        person as _,
        masked_number.as_str(),
        sent_at.to_sqlx() as _,
    )
    .fetch_one(conn)
    .await
}
