//! Letting a text go once its pictures are settled, and telling its sender what is not passed on.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::PgConnection;

use super::{
    Refusal, secret,
    store::{self, Settled},
};
use crate::{
    app::App,
    audit::{self, Kind, Record},
    ids::TextId,
    outbox::{self, Promise},
    texts::Answer,
};

/// Lets go the texts that wait for no picture any more; whether there were any.
pub(super) async fn release_settled(
    conn: &mut PgConnection,
    app: &App,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let settled = store::lock_settled(conn).await?;
    for text in &settled {
        release(conn, app, text, now).await?;
    }
    Ok(!settled.is_empty())
}

/// Lets a text go with the pictures that are ready, and tells its sender once if some are not.
async fn release(
    conn: &mut PgConnection,
    app: &App,
    text: &Settled,
    now: Timestamp,
) -> sqlx::Result<()> {
    let pictures = store::pictures(conn, text.text).await?;
    let until = outbox::open_until(now);
    let mut tokens = Vec::new();
    for picture in pictures.iter().filter(|picture| picture.refused.is_none()) {
        let token = secret();
        store::open(conn, picture.id, &token, until).await?;
        tokens.push(token);
    }
    let shown: Value = pictures.iter().map(store::Picture::shown).collect();
    let record = Record {
        conversation: text.conversation,
        person: Some(text.sender),
        recipient: Some(text.recipient),
        // A number that our own check constraint let in.
        masked_number: text.masked_number.parse().ok(),
        carrier_id: text.cause.clone(),
        text: Some(text.text),
        ..Record::of(Kind::Pictures)
    };
    // Where their key is gone they were forgotten, and so is what they sent.
    let sender = app.pen.vault.author_of(Some(text.sender), text.sender_key.as_deref());
    let record = match sender {
        Ok(sender) => record.showing(&sender, &shown),
        Err(_) => record,
    };
    audit::record(conn, &[record], now).await?;
    outbox::release(conn, text.text, &tokens, now).await?;
    let refused: Vec<&str> =
        pictures.iter().filter_map(|picture| picture.refused.as_deref()).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let is_other = refused.contains(&Refusal::NotAPicture.as_str());
    let answer = if is_other { Answer::NotAPicture } else { Answer::PictureLost };
    tell(conn, app, text, &answer, now).await
}

/// Promises the sender of a text an answer to it.
async fn tell(
    conn: &mut PgConnection,
    app: &App,
    text: &Settled,
    answer: &Answer,
    now: Timestamp,
) -> sqlx::Result<()> {
    let own = app.pen.vault.own();
    let (id, words) = (TextId::new(), answer.render(&app.pen.brand));
    let promise = Promise {
        id,
        cause: text.cause.clone(),
        conversation: text.conversation,
        to: text.sender,
        through: text.through,
        answer: Some(answer.name()),
        body: outbox::seal(own, id, &words),
        despite_optout: false,
        give_up_at: None,
        urgent: false,
        once: false,
        pictures: false,
        traceparent: None,
    };
    let record = Record {
        rule: promise.answer,
        conversation: promise.conversation,
        recipient: Some(promise.to),
        masked_number: text.through_number.parse().ok(),
        carrier_id: text.cause.clone(),
        text: Some(promise.id),
        ..Record::of(Kind::Answered)
    };
    metrics::counter!("maskline_answers_total", "answer" => answer.name()).increment(1);
    outbox::promise(conn, &[promise], &[record.saying(own, &words)], now).await
}
