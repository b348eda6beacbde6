//! Words that are looked for, kept apart from the address.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::{
    ids::{SearchId, StaffId},
    vault::{Field, Vault},
};

/// For how long they are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Keeps these words, and throws old ones away.
pub(super) async fn keep(
    conn: &mut PgConnection,
    vault: &Vault,
    words: &str,
    by: StaffId,
    now: Timestamp,
) -> sqlx::Result<SearchId> {
    let id = SearchId::new();
    sqlx::query!(
        "with old as (delete from search_words where at < $5)
         insert into search_words (id, words_sealed, staff_id, at) values ($1, $2, $3, $4)",
        id as _,
        vault.own().seal(Field::SearchWords, id, words.as_bytes()).to_bytes(),
        by as _,
        now.to_sqlx() as _,
        now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN).to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// The words of this id; none where they are not kept any more.
pub(super) async fn find(
    conn: &mut PgConnection,
    vault: &Vault,
    id: SearchId,
) -> sqlx::Result<Option<String>> {
    let sealed =
        sqlx::query_scalar!("select words_sealed from search_words where id = $1", id as _)
            .fetch_optional(conn)
            .await?;
    Ok(sealed.map(|sealed| vault.own().read(Field::SearchWords, id, &sealed)).transpose()?)
}
