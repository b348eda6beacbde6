//! `GET /media/{token}`: a picture for the carrier, which fetches it when it sends the text.
//!
//! Whoever knows the token is the carrier, or was told by it. It is for one picture and one day.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use tokio::sync::Semaphore;

use super::store;
use crate::{
    app::App,
    database,
    http::Problem,
    ids::{MediaId, PersonId},
    vault::{Field, Unreadable, Vault},
};

/// How many tokens are looked up at once. Anybody may try some, and must leave the database's other
/// connections to the webhook.
const LOOKS: usize = 4;

/// The route for the public listener.
pub fn routes(app: App) -> Router {
    let looks = Arc::new(Semaphore::new(LOOKS));
    Router::new().route("/media/{token}", get(picture)).with_state((app, looks))
}

async fn picture(
    State((app, looks)): State<(App, Arc<Semaphore>)>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let nothing = || Problem::mute(StatusCode::NOT_FOUND);
    let Ok(Path(token)) = path else { return Err(nothing()) };
    let away = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a picture could not be served: answered 503");
        Problem::mute(StatusCode::SERVICE_UNAVAILABLE)
    };
    let found = async {
        let _turn = looks.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let mut conn = app.db.acquire().await?;
        let now = database::time(&mut conn, &app.clock).await?;
        find(&mut conn, &token, now).await
    };
    let Some(found) = found.await.map_err(|error| away(&error))? else {
        return Err(nothing());
    };
    let bytes = app.settings.media.storage.get(&found.key).await.map_err(|error| away(&error))?;
    let Some(bytes) = bytes else {
        tracing::error!("a picture is not in the storage any more: answered 404");
        return Err(nothing());
    };
    let Ok(bytes) = found.open(&app.pen.vault, bytes) else {
        tracing::error!("a picture cannot be decrypted: answered 404");
        return Err(nothing());
    };
    let headers = [
        (header::CONTENT_TYPE, found.mime.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    Ok((headers, bytes).into_response())
}

/// A picture that is open to the carrier.
struct Found {
    id: MediaId,
    key: String,
    mime: String,
    is_sealed: bool,
    sender: PersonId,
    sender_key: Option<Vec<u8>>,
}

impl Found {
    /// The picture in what was stored for it. An earlier version stored them as they were.
    fn open(&self, vault: &Vault, stored: Vec<u8>) -> Result<Vec<u8>, Unreadable> {
        if !self.is_sealed {
            return Ok(stored);
        }
        let sender = vault.author_of(Some(self.sender), self.sender_key.as_deref())?;
        sender.open(Field::MediaFile, self.id, &stored)
    }
}

/// The picture that this token opens now. Tokens are looked up by their digest: how long that takes
/// tells nothing about any of them.
async fn find(conn: &mut PgConnection, token: &str, now: Timestamp) -> sqlx::Result<Option<Found>> {
    sqlx::query_as!(
        Found,
        r#"select m.id, m.storage_key as key, m.mime as "mime!", m.is_sealed, m.sender_id as sender,
               p.wrapped_key as sender_key
           from media m
           join person p on p.id = m.sender_id
           where m.token_digest = $1 and m.expires_at > $2 and m.state = 'ready'"#,
        &store::digest(token)[..],
        now.to_sqlx() as _,
    )
    .fetch_optional(conn)
    .await
}
