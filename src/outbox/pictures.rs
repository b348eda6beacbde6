//! The pictures that go with a text: how long the carrier may fetch them.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::TextId;

/// How long the carrier may fetch a picture each time that its text is sent.
const OPEN: SignedDuration = SignedDuration::from_hours(24);

/// Until when a picture can be fetched whose text is sent, or may be sent, now.
pub fn open_until(now: Timestamp) -> Timestamp {
    now.saturating_add(OPEN).unwrap_or(Timestamp::MAX)
}

/// Keeps the pictures of texts that are sent now open to the carrier, however long these have waited.
pub(super) async fn keep_open(
    conn: &mut PgConnection,
    texts: &[TextId],
    now: Timestamp,
) -> sqlx::Result<()> {
    if texts.is_empty() {
        return Ok(());
    }
    let texts: Vec<Uuid> = texts.iter().map(|text| text.uuid()).collect();
    sqlx::query!(
        "update media set expires_at = $2 where text_id = any($1) and expires_at < $2",
        &texts,
        open_until(now).to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
