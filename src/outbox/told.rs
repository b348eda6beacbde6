//! Telling people that their words did not arrive.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::{Promise, promise, seal};
use crate::{
    audit::{Kind, Record},
    ids::{ConversationId, MaskedNumberId, PersonId, RecordId, TextId},
    texts::{Answer, Excerpt},
    vault::{Field, Pen},
};

/// How sure we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// The text has failed for good.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// Tells the author of a relay, once, that it did not or may not have arrived.
///
/// Nobody is told who may not be texted there, or is parted from the other by a block; nor is
/// anybody while the carrier may have the text under another id.
pub(super) async fn tell(
    conn: &mut PgConnection,
    text: TextId,
    certainty: Certainty,
    pen: &Pen,
    now: Timestamp,
) -> sqlx::Result<()> {
    let author = sqlx::query!(
        r#"select r.conversation_id as "conversation!: ConversationId", r.id as "record: RecordId",
               r.body_sealed as "body!", r.author_id as "author: PersonId",
               k.wrapped_key as "author_key?",
               seat.person_id as "person: PersonId",
               seat.masked_number_id as "through: MaskedNumberId", m.number as through_number
           from audit_record r
           join participant seat on seat.conversation_id = r.conversation_id
               and (seat.person_id = r.person_id
                   -- The author has another phone by now.
                   or seat.person_id <> r.recipient_id and exists (
                       select from participant other
                       where other.conversation_id = seat.conversation_id
                           and other.person_id = r.recipient_id
                   ))
           join masked_number m on m.id = seat.masked_number_id
           left join person k on k.id = r.author_id
           where r.text_id = $1 and r.kind = 'relayed'
               and not exists (select from suppression s where s.person_id = seat.person_id)
               and not exists (
                   select from carrier_block b
                   where b.person_id = seat.person_id
                       and b.masked_number_id = seat.masked_number_id
               )
               and not exists (
                   select from block b
                   where (b.person_id, b.other_id) in
                       ((r.person_id, r.recipient_id), (r.recipient_id, r.person_id))
               )
               and not exists (
                   select from carrier_message c where c.text_id = $1 and c.delivery <> 'failed'
               )
               and not exists (
                   select from audit_record told
                   where told.conversation_id = r.conversation_id and told.kind = 'answered'
                       and told.rule in ('not_delivered', 'maybe_not_delivered')
                       and told.detail = $1::text
               )
           limit 1"#,
        text as _,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(author) = author else { return Ok(()) };
    // What it quotes is theirs, so it is kept under their key.
    let key = pen.vault.author_of(author.author, author.author_key.as_deref());
    let Ok((key, excerpt)) = key.and_then(|key| {
        let said = key.read(Field::RecordBody, author.record, &author.body)?;
        Ok((key, Excerpt::of(&said)))
    }) else {
        // Their key is gone: whoever was forgotten is told nothing.
        return Ok(());
    };
    let answer = match certainty {
        Certainty::Failed => Answer::NotDelivered { excerpt },
        Certainty::Unknown => Answer::MaybeNotDelivered { excerpt },
    };
    let (id, words) = (TextId::new(), answer.render(&pen.brand));
    let notice = Promise {
        id,
        cause: None,
        conversation: Some(author.conversation),
        to: author.person,
        through: author.through,
        answer: Some(answer.name()),
        body: seal(&key, id, &words),
        despite_optout: false,
        give_up_at: None,
        urgent: answer.is_urgent(),
        once: answer.is_said_once(),
        pictures: false,
        traceparent: None,
    };
    let record = Record {
        rule: notice.answer,
        conversation: notice.conversation,
        recipient: Some(notice.to),
        masked_number: author.through_number.parse().ok(),
        text: Some(notice.id),
        // Which one: nobody is told twice.
        detail: Some(text.to_string()),
        ..Record::of(Kind::Answered)
    };
    metrics::counter!("maskline_answers_total", "answer" => answer.name()).increment(1);
    promise(conn, &[notice], &[record.saying(&key, &words)], now).await
}
