//! A text that has left its place in the outbox, and the record of it.

use sqlx::PgConnection;

use super::lanes::Lane;
use crate::{
    audit::{self, Kind, Record},
    clock::SqlTimestamp,
    ids::{ConversationId, MaskedNumberId, PersonId, TextId},
};

/// A text that has left the outbox, or stands in it for good.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) id: TextId,
    pub(super) conversation_id: Option<ConversationId>,
    pub(super) recipient_id: PersonId,
    /// The recipient's old phone, where it was sent there.
    pub(super) sent_to: Option<PersonId>,
    pub(super) masked_number_id: MaskedNumberId,
    pub(super) masked_number: String,
    /// When that came to be.
    pub(super) at: SqlTimestamp,
}

impl Left {
    /// The lane that it stood in.
    pub(super) fn lane(&self) -> Lane {
        let within =
            self.conversation_id.map_or(self.masked_number_id.uuid(), ConversationId::uuid);
        Lane { recipient: self.recipient_id, within }
    }

    /// The record of what became of it.
    pub(super) fn record(self, kind: Kind, detail: Option<&str>) -> Record {
        Record {
            conversation: self.conversation_id,
            recipient: Some(self.sent_to.unwrap_or(self.recipient_id)),
            // A number that our own check constraint let in.
            masked_number: self.masked_number.parse().ok(),
            text: Some(self.id),
            detail: detail.map(str::to_owned),
            ..Record::of(kind)
        }
    }
}

/// Records what became of these texts, all at one time.
pub(super) async fn record_all(
    conn: &mut PgConnection,
    left: Vec<Left>,
    kind: Kind,
    detail: &str,
) -> sqlx::Result<()> {
    let Some(at) = left.first().map(|left| left.at.to_jiff()) else { return Ok(()) };
    let records: Vec<Record> =
        left.into_iter().map(|left| left.record(kind, Some(detail))).collect();
    audit::record(conn, &records, at).await
}
