//! Pictures: fetched from the carrier, painted anew, stored, and served back to it.
//!
//! A text with pictures is promised at once and held, so that it keeps its place in its lane. What
//! is fetched is a stranger's file: only what can be seen of it is passed on, never the file.

mod old;
mod picture;
mod release;
mod serve;
mod source;
mod store;
pub mod worker;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::{serve::routes, source::Sources};
use crate::{
    carrier::wire::Media,
    ids::{ConversationId, MaskedNumberId, MediaId, PersonId, TextId},
    vault::{Author, Field},
};

/// The pictures of one text.
#[derive(Debug, Clone, Copy)]
pub struct Album {
    /// The text that is held for them.
    pub text: TextId,
    /// Who sent them.
    pub sender: PersonId,
    /// The masked number that they were sent to.
    pub through: MaskedNumberId,
    /// The conversation that they belong to.
    pub conversation: Option<ConversationId>,
}

/// Why a picture is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Its bytes are of no kind that is.
    NotAPicture,
    /// Its bytes say that it is a picture, yet it cannot be painted.
    Broken,
    /// It is too large to be fetched or painted, or cannot be made to fit.
    TooLarge,
    /// There are too many in one text.
    TooMany,
    /// It lies at no host of the carrier.
    WrongHost,
    /// The carrier does not give it out, or only points elsewhere.
    NotThere,
    /// It could not be had however often it was tried.
    GaveUp,
}

impl Refusal {
    /// The name in the trail and in the metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::NotAPicture => "not_a_picture",
            Self::Broken => "broken",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::WrongHost => "wrong_host",
            Self::NotThere => "not_there",
            Self::GaveUp => "gave_up",
        }
    }
}

/// Keeps the pictures of a text that has just been promised and is held for them.
pub async fn keep(
    conn: &mut PgConnection,
    album: &Album,
    sender: &Author,
    media: &[Media],
    now: Timestamp,
) -> sqlx::Result<()> {
    let ids: Vec<_> = media.iter().map(|_| MediaId::new().uuid()).collect();
    let url = |(id, media): (&Uuid, &Media)| {
        sender.seal(Field::MediaSource, *id, media.url.as_bytes()).to_bytes()
    };
    let urls: Vec<_> = ids.iter().zip(media).map(url).collect();
    let keys: Vec<_> = media.iter().map(|_| secret()).collect();
    sqlx::query!(
        "insert into media (id, text_id, place, sender_id, masked_number_id, conversation_id,
             source_url_sealed, is_sealed, storage_key, due_at, created_at)
         select id, $1, place, $2, $3, $4, url, true, key, $5, $5
         from unnest($6::uuid[], $7::bytea[], $8::text[]) with ordinality
             as new (id, url, key, place)",
        album.text as _,
        album.sender as _,
        album.through as _,
        album.conversation as _,
        now.to_sqlx() as _,
        &ids,
        &urls,
        &keys,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks the pictures of somebody who is forgotten: none is served any more, and the next round removes
/// them from the storage. Returns how many.
pub async fn erase(conn: &mut PgConnection, sender: PersonId) -> sqlx::Result<u64> {
    let marked = sqlx::query!(
        "update media
         set is_erased = true, state = 'refused', refused = coalesce(refused, 'erased'),
             source_url_sealed = null, token_digest = null, expires_at = null
         where sender_id = $1 and not is_erased",
        sender as _,
    )
    .execute(conn)
    .await?;
    Ok(marked.rows_affected())
}

/// 32 bytes in hexadecimal that nobody can guess.
fn secret() -> String {
    let [first, second]: [u128; 2] = rand::random();
    format!("{first:032x}{second:032x}")
}
