//! Records as one statement takes many of them.

use uuid::Uuid;

use super::Record;
use crate::{
    ids::{ConversationId, PersonId, TextId},
    vault::Sealed,
};

/// Records as PostgreSQL takes many of them in one statement: a column each.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) kinds: Vec<String>,
    pub(crate) rules: Vec<Option<String>>,
    pub(crate) conversations: Vec<Option<Uuid>>,
    pub(crate) people: Vec<Option<Uuid>>,
    pub(crate) recipients: Vec<Option<Uuid>>,
    pub(crate) masked_numbers: Vec<Option<String>>,
    pub(crate) carrier_ids: Vec<Option<String>>,
    pub(crate) texts: Vec<Option<Uuid>>,
    pub(crate) authors: Vec<Option<Uuid>>,
    pub(crate) bodies: Vec<Option<Vec<u8>>>,
    pub(crate) media: Vec<Option<Vec<u8>>>,
    pub(crate) details: Vec<Option<String>>,
}

impl Columns {
    /// The columns of these records, in their order.
    pub(crate) fn of(records: &[Record]) -> Self {
        fn column<T>(records: &[Record], value: impl FnMut(&Record) -> T) -> Vec<T> {
            records.iter().map(value).collect()
        }
        Self {
            ids: column(records, |record| record.id.uuid()),
            kinds: column(records, |record| record.kind.as_str().to_owned()),
            rules: column(records, |record| record.rule.map(str::to_owned)),
            conversations: column(records, |record| record.conversation.map(ConversationId::uuid)),
            people: column(records, |record| record.person.map(PersonId::uuid)),
            recipients: column(records, |record| record.recipient.map(PersonId::uuid)),
            masked_numbers: column(records, |record| {
                record.masked_number.clone().map(String::from)
            }),
            carrier_ids: column(records, |record| record.carrier_id.clone()),
            texts: column(records, |record| record.text.map(TextId::uuid)),
            authors: column(records, |record| record.author().map(PersonId::uuid)),
            bodies: column(records, |record| record.body.as_ref().map(Sealed::to_bytes)),
            media: column(records, |record| record.media.as_ref().map(Sealed::to_bytes)),
            details: column(records, |record| record.detail.clone()),
        }
    }
}
