//! Takes in texts: one call notes their ids, locks what they may change and loads what every
//! decision needs.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Parsed;
use crate::{
    clock::SqlTimestamp,
    code::Code,
    conversation::{Conversation, command::Command, store::Seat},
    ids::{ConversationId, MaskedNumberId, PersonId},
    phone::PhoneNumber,
    vault::{Author, Stranger, Unreadable, Vault},
};

/// A text that was not taken in before, and what every decision on it needs.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its place in the slice.
    pub(super) place: usize,
    /// When it was taken in.
    pub(super) at: Timestamp,
    /// The masked number that was texted; none when it is not in the pool.
    pub(super) number: Option<MaskedNumberId>,
    /// Whether the sender is a number of the pool, too.
    pub(super) is_from_ours: bool,
    /// The sender, locked, and their key; none when a text on this number cannot be answered.
    pub(super) person: Option<(PersonId, Author)>,
    /// Whether the sender opted out.
    pub(super) suppressed: bool,
    /// Whether the carrier brings the sender nothing from this number.
    pub(super) blocked_here: bool,
    /// When the sender last got each answer that is given only so often.
    pub(super) given: HashMap<String, Timestamp>,
    /// The open conversations that it may concern, locked: the sender's own and what a code names.
    pub(super) open: Vec<Conversation>,
}

impl Taken {
    /// Whether its sender was forgotten while it waited for their lock. Taken in once more, they are
    /// somebody new.
    pub(super) fn has_lost_sender(&self, texts: &[Parsed]) -> bool {
        let is_sent = texts.get(self.place).is_some_and(|it| it.text.from.is_some());
        is_sent && self.number.is_some() && !self.is_from_ours && self.person.is_none()
    }
}

/// Takes in these texts, and returns those that are new, in their order. A second delivery that
/// comes while the first is being handled waits here for its commit.
///
/// The SQL is the function of this name in the schema: it tells what is locked, and in which order.
pub(super) async fn take_in(
    conn: &mut PgConnection,
    vault: &Vault,
    texts: &[Parsed],
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<Vec<Taken>> {
    let number = |number: &Option<PhoneNumber>| number.as_ref().map(|it| it.as_str().to_owned());
    let code = |code: Option<&Code>| code.map(|code| code.as_str().to_owned());
    let carrier_ids: Vec<_> = texts.iter().map(|it| it.text.carrier_id.clone()).collect();
    let senders: Vec<_> = texts.iter().map(|it| number(&it.text.from)).collect();
    let receivers: Vec<_> = texts.iter().map(|it| number(&it.text.to)).collect();
    let codes: Vec<_> = texts
        .iter()
        .map(|it| {
            code(match &it.command {
                Command::Join(code) => Some(code),
                _ => None,
            })
        })
        .collect();
    let move_codes: Vec<_> = texts
        .iter()
        .map(|it| {
            code(match &it.command {
                Command::MoveCode(code) => Some(code),
                _ => None,
            })
        })
        .collect();
    let looks_back: Vec<_> = texts
        .iter()
        .map(|it| matches!(it.command, Command::Reopen | Command::Block | Command::Report))
        .collect();
    let with_other: Vec<_> = texts.iter().map(|it| it.command == Command::Reopen).collect();
    let fresh = Strangers::of(vault, texts);
    let rows = sqlx::query!(
        r#"select place as "place!", taken_at as "taken_at!",
               masked_number_id as "masked_number_id: MaskedNumberId",
               is_from_ours as "is_from_ours!", person_id as "person_id: PersonId",
               wrapped_key,
               suppressed as "suppressed!", blocked_here as "blocked_here!",
               answers as "answers!", answered_at as "answered_at!: Vec<SqlTimestamp>",
               conversation_id as "conversation_id: ConversationId", code, state,
               code_expires_at, opened_at, last_talk_at, silence_seconds, warned_at, ends_at,
               participant_id as "participant_id: PersonId",
               participant_number_id as "participant_number_id: MaskedNumberId",
               participant_number
           from take_in_by_tag($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"#,
        &carrier_ids,
        &senders as _,
        &fresh.tags as _,
        &receivers as _,
        &codes as _,
        &move_codes as _,
        &looks_back,
        &with_other,
        &fresh.ids as _,
        &fresh.keys as _,
        &fresh.numbers as _,
        instead as _,
    )
    .fetch_all(conn)
    .await?;
    let mut taken: Vec<Taken> = Vec::with_capacity(texts.len());
    for row in rows {
        let place = usize::try_from(row.place).unwrap_or(usize::MAX);
        if taken.last().is_none_or(|last| last.place != place) {
            let answered_at = row.answered_at.into_iter().map(SqlTimestamp::to_jiff);
            taken.push(Taken {
                place,
                at: row.taken_at.to_jiff(),
                number: row.masked_number_id,
                is_from_ours: row.is_from_ours,
                person: author(vault, row.person_id, row.wrapped_key)?,
                suppressed: row.suppressed,
                blocked_here: row.blocked_here,
                given: row.answers.into_iter().zip(answered_at).collect(),
                open: Vec::new(),
            });
        }
        // All of these, or none: a text may concern no conversation.
        let seat = (|| {
            Some(Seat {
                id: row.conversation_id?,
                code: row.code?,
                state: row.state?,
                code_expires_at: row.code_expires_at?,
                opened_at: row.opened_at?,
                last_talk_at: row.last_talk_at,
                silence_seconds: row.silence_seconds?,
                warned_at: row.warned_at,
                ends_at: row.ends_at?,
                person_id: row.participant_id?,
                masked_number_id: row.participant_number_id?,
                number: row.participant_number?,
            })
        })();
        if let (Some(seat), Some(last)) = (seat, taken.last_mut()) {
            seat.push_to(&mut last.open)?;
        }
    }
    Ok(taken)
}

/// The senders as they are written down where nobody knows them yet, a column each.
struct Strangers {
    ids: Vec<Option<Uuid>>,
    tags: Vec<Option<Vec<u8>>>,
    keys: Vec<Option<Vec<u8>>>,
    numbers: Vec<Option<Vec<u8>>>,
}

impl Strangers {
    fn of(vault: &Vault, texts: &[Parsed]) -> Self {
        let all: Vec<Option<Stranger>> =
            texts.iter().map(|it| it.text.from.as_ref().map(|from| vault.stranger(from))).collect();
        let column = |what: fn(&Stranger) -> &Vec<u8>| {
            all.iter().map(|one| one.as_ref().map(|one| what(one).clone())).collect()
        };
        Self {
            ids: all.iter().map(|one| one.as_ref().map(|one| one.id.uuid())).collect(),
            tags: column(|one| &one.tag),
            keys: column(|one| &one.wrapped_key),
            numbers: column(|one| &one.number_sealed),
        }
    }
}

/// The sender and their key.
fn author(
    vault: &Vault,
    person: Option<PersonId>,
    wrapped: Option<Vec<u8>>,
) -> Result<Option<(PersonId, Author)>, Unreadable> {
    let Some((person, wrapped)) = person.zip(wrapped) else { return Ok(None) };
    Ok(Some((person, vault.author(person, &wrapped)?)))
}

/// Notes when these texts were sent, as the carrier's list says. Those of one sender are put in their
/// order by it, however they came.
pub async fn note_sent(conn: &mut PgConnection, texts: &[(String, Timestamp)]) -> sqlx::Result<()> {
    let ids: Vec<String> = texts.iter().map(|(id, _)| id.clone()).collect();
    let times: Vec<SqlTimestamp> = texts.iter().map(|(_, at)| at.to_sqlx()).collect();
    sqlx::query!(
        "update carrier_message m
         set sent_at = listed.sent_at
         from unnest($1::text[], $2::timestamptz[]) as listed (carrier_id, sent_at)
         where m.carrier_id = listed.carrier_id and m.sent_at is null
             and m.direction = 'inbound'",
        &ids,
        &times as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
