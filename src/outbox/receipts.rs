//! Receipts: what the carrier says became of a text that it accepted.
//!
//! They repeat, come in any order, and may come before the answer to the send itself. A final
//! state is never left again.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{
    failures::{self, STOPPED, Stopped},
    settle::{self, Acceptance, By},
    told::{self, Certainty},
};
use crate::{
    audit::{self, Kind, Record},
    carrier::wire::Receipt,
    clock::SqlTimestamp,
    consent,
    ids::{MaskedNumberId, PersonId, TextId},
    vault::Pen,
};

/// What a receipt changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The text has reached the phone.
    Delivered,
    /// The text has finally failed.
    Failed,
    /// The text is on its way; the carrier's word was new.
    Progress,
    /// Nothing: it said what was known, or came after the end.
    Nothing,
    /// It speaks of a text that we did not send.
    Stranger,
}

impl Noted {
    /// The name under which it is counted.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Progress => "progress",
            Self::Nothing => "nothing",
            Self::Stranger => "stranger",
        }
    }
}

/// Notes a receipt. `token` is the text that the callback's URL named, if it named one.
pub async fn note(
    conn: &mut PgConnection,
    pen: &Pen,
    receipt: &Receipt,
    token: Option<TextId>,
    now: Timestamp,
) -> sqlx::Result<Noted> {
    if is_stopped(receipt) {
        lock_recipient(conn, receipt, token, now).await?;
    }
    let known = match (lock_sent(conn, &receipt.carrier_id).await?, token) {
        (None, Some(id)) => {
            // It may be the first word of a text whose answer is still under way, or was lost.
            let carrier_id = receipt.carrier_id.clone();
            let accepted = Acceptance { id, carrier_id, tried_at: None };
            settle::accept(conn, &[accepted], By::Receipt, Some(now.to_sqlx())).await?;
            lock_sent(conn, &receipt.carrier_id).await?
        }
        (known, _) => known,
    };
    let Some(known) = known else { return Ok(Noted::Stranger) };
    let word = match &receipt.code {
        Some(code) => format!("{} {code}", receipt.status),
        None => receipt.status.clone(),
    };
    if known.delivery != "sent" || known.status.as_ref() == Some(&word) {
        return Ok(Noted::Nothing);
    }
    let (noted, kind, delivery) = match receipt.status.as_str() {
        "delivered" => (Noted::Delivered, Kind::Delivered, "delivered"),
        "failed" => (Noted::Failed, Kind::Failed, "failed"),
        // Words that nobody has documented yet are kept as they are: the text is on its way.
        _ => (Noted::Progress, Kind::Reported, "sent"),
    };
    sqlx::query!(
        "update carrier_message set delivery = $2, status = $3 where carrier_id = $1",
        receipt.carrier_id,
        delivery,
        word,
    )
    .execute(&mut *conn)
    .await?;
    let record = Record {
        carrier_id: Some(receipt.carrier_id.clone()),
        text: Some(known.text_id),
        detail: Some(word),
        ..Record::of(kind)
    };
    audit::record(conn, &[record], now).await?;
    // Texts that an earlier version sent do not tell whom they were for.
    if let (Noted::Failed, Some(person), Some(number)) = (noted, known.recipient, known.number) {
        let left_at = known.left_at.to_jiff();
        if !failed(conn, receipt, (person, number), left_at, now).await? {
            told::tell(conn, known.text_id, Certainty::Failed, pen, now).await?;
        }
    }
    Ok(noted)
}

/// What is known of a text that was accepted under this id, locked until commit.
struct Sent {
    text_id: TextId,
    delivery: String,
    status: Option<String>,
    left_at: SqlTimestamp,
    recipient: Option<PersonId>,
    number: Option<MaskedNumberId>,
}

async fn lock_sent(conn: &mut PgConnection, carrier_id: &str) -> sqlx::Result<Option<Sent>> {
    sqlx::query_as!(
        Sent,
        r#"select text_id as "text_id!: TextId", delivery as "delivery!", status,
               coalesce(tried_at, noted_at) as "left_at!",
               recipient_id as "recipient: PersonId", masked_number_id as "number: MaskedNumberId"
           from carrier_message
           where carrier_id = $1 and direction = 'outbound'
           for update"#,
        carrier_id,
    )
    .fetch_optional(conn)
    .await
}

/// Notes what a final failure says beyond the text. True when the phone texted STOP, of which
/// nobody else is told.
async fn failed(
    conn: &mut PgConnection,
    receipt: &Receipt,
    (person, number): (PersonId, MaskedNumberId),
    left_at: Timestamp,
    now: Timestamp,
) -> sqlx::Result<bool> {
    if is_stopped(receipt) {
        // Held since the beginning, unless the text was settled only just now.
        consent::lock(conn, person, Some(now.to_sqlx())).await?;
        let stopped = Stopped {
            person,
            number,
            rule: "failed_1110",
            evidence: receipt.carrier_id.clone(),
            carrier_id: Some(&receipt.carrier_id),
            left_at,
        };
        failures::block(conn, stopped, now).await?;
        return Ok(true);
    }
    // Whatever else the carrier writes there could be anything.
    let code = receipt.code.as_deref().and_then(|code| code.parse::<u16>().ok());
    let why = code.map_or_else(|| "failed".to_owned(), |code| format!("failed {code}"));
    failures::note(conn, (person, number), &why, now).await?;
    Ok(false)
}

/// Whether it says that the phone texted STOP to the number.
fn is_stopped(receipt: &Receipt) -> bool {
    let code = receipt.code.as_deref().and_then(|code| code.parse().ok());
    receipt.status == "failed" && code == Some(STOPPED)
}

/// Locks whom the text was for, before anything of the outbox.
async fn lock_recipient(
    conn: &mut PgConnection,
    receipt: &Receipt,
    token: Option<TextId>,
    now: Timestamp,
) -> sqlx::Result<()> {
    let recipient = sqlx::query_scalar!(
        r#"select coalesce(
               (select recipient_id from carrier_message where carrier_id = $1),
               (select coalesce(sent_to, recipient_id) from outbox where id = $2)
           ) as "recipient: PersonId""#,
        receipt.carrier_id,
        token as _,
    )
    .fetch_one(&mut *conn)
    .await?;
    if let Some(person) = recipient {
        consent::lock(conn, person, Some(now.to_sqlx())).await?;
    }
    Ok(())
}
