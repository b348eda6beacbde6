//! Searches that somebody saved under a name. Each has their own; words in them are sealed.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use sqlx::PgConnection;

use super::{Expression, Failed, PATH, Page, Sent, address, asked, kept, typed, wrong};
use crate::{
    app::App,
    audit,
    console::{visitor::Visitor, words},
    database,
    ids::{SavedSearchId, StaffId},
    vault::{Field, Vault},
};

/// How many somebody may have.
const MOST: i64 = 100;

/// A search by the name that it was given.
pub(super) struct Saved {
    pub(super) id: SavedSearchId,
    pub(super) name: String,
}

/// Somebody's own, by name.
pub(super) async fn list(conn: &mut PgConnection, of: StaffId) -> sqlx::Result<Vec<Saved>> {
    sqlx::query_as!(
        Saved,
        "select id, name from saved_search where staff_id = $1 order by lower(name)",
        of as _,
    )
    .fetch_all(conn)
    .await
}

/// What is saved: what stands in the address, and the name.
#[derive(Deserialize)]
pub(in crate::console) struct Named {
    name: String,
    q: String,
    #[serde(default)]
    w: String,
}

/// Saves a search. One of the same name is replaced.
pub(in crate::console) async fn save(
    State(app): State<App>,
    visitor: Visitor,
    Sent(named): Sent<Named>,
) -> Page {
    let (read, _) = match asked::read(&app, &named.q, Some(&named.w)).await? {
        Ok(read) => read,
        Err((problem, left)) => return Ok(wrong(&visitor, &app, left, problem)),
    };
    let name = match words::line(&named.name, "The name") {
        Ok(name) => name,
        Err(problem) => return Ok(wrong(&visitor, &app, typed(&read), problem)),
    };
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let whole = (visitor.id(), name.as_str(), &read);
    let Some(id) = insert(&mut tx, &app.pen.vault, whole, now).await? else {
        let problem = format!("You have {MOST} saved searches, which is the most. Remove one.");
        return Ok(wrong(&visitor, &app, typed(&read), problem));
    };
    let record = visitor.record("search_save", &format!("saved search {id}"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/search?done=saved").into_response())
}

async fn insert(
    conn: &mut PgConnection,
    vault: &Vault,
    (of, name, read): (StaffId, &str, &Expression),
    now: Timestamp,
) -> sqlx::Result<Option<SavedSearchId>> {
    let id = SavedSearchId::new();
    let scope = serde_json::to_vec(&(read.to_text(), &read.words));
    let scope = scope.map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "delete from saved_search where staff_id = $1 and lower(name) = lower($2)",
        of as _,
        name,
    )
    .execute(&mut *conn)
    .await?;
    let saved = sqlx::query!(
        "insert into saved_search (id, staff_id, name, scope_sealed, at)
         select $1, $2, $3, $4, $5
         where (select count(*) from saved_search where staff_id = $2) < $6
         on conflict do nothing",
        id as _,
        of as _,
        name,
        vault.own().seal(Field::SearchWords, id, &scope).to_bytes(),
        now.to_sqlx() as _,
        MOST,
    )
    .execute(conn)
    .await?;
    Ok((saved.rows_affected() == 1).then_some(id))
}

/// Opens one: leads to its address, its words kept anew.
pub(in crate::console) async fn open(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    let id: SavedSearchId = id.parse().map_err(|_| Failed::Nothing)?;
    let (vault, mut conn) = (&app.pen.vault, app.db.acquire().await?);
    let found = sqlx::query_scalar!(
        "select scope_sealed from saved_search where id = $1 and staff_id = $2",
        id as _,
        visitor.id() as _,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let sealed = found.ok_or(Failed::Nothing)?;
    let scope = vault.own().read(Field::SearchWords, id, &sealed).map_err(sqlx::Error::from)?;
    let (terms, words): (String, String) =
        serde_json::from_str(&scope).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let words = match words.as_str() {
        "" => None,
        words => Some(kept::keep(&mut conn, vault, words, visitor.id(), app.clock.now()).await?),
    };
    Ok(Redirect::to(&address(PATH, &terms, words, None)).into_response())
}

/// Removes one.
pub(in crate::console) async fn remove(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    let id: SavedSearchId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut tx = app.db.begin().await?;
    let removed = sqlx::query!(
        "delete from saved_search where id = $1 and staff_id = $2",
        id as _,
        visitor.id() as _,
    )
    .execute(&mut *tx)
    .await?;
    if removed.rows_affected() == 0 {
        return Err(Failed::Nothing);
    }
    let now = database::time(&mut tx, &app.clock).await?;
    let record = visitor.record("search_remove", &format!("removed saved search {id}"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/search?done=removed").into_response())
}
