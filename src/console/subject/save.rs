//! A copy of all there is of one person, saved by whoever asked for it while that is granted.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::{
    io::{BufWriter, DuplexStream},
    time::timeout,
};
use tokio_util::io::ReaderStream;

use super::{Failed, store};
use crate::{
    app::App,
    audit::{self, Record},
    console::visitor::Visitor,
    database,
    ids::{PersonId, SubjectRequestId},
    people,
};

/// How many bytes are made ahead of whoever saves them.
const AHEAD: usize = 64 * 1024;
/// For how long a copy may take: whoever takes it too slowly holds a connection to the database.
const PATIENCE: Duration = Duration::from_mins(30);

/// Hands a copy out, line by line. That it was is on record before the first of them.
pub(in crate::console) async fn save(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let id: SubjectRequestId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut conn = app.db.acquire().await?;
    let now = database::time(&mut conn, &app.clock).await?;
    let found = store::find(&mut conn, id).await?;
    let is_theirs =
        |wish: &store::Wish| wish.request.asker == visitor.id() && wish.request.is_open(now);
    let wish = found.filter(is_theirs).ok_or(Failed::Nothing)?;
    // Of whoever was forgotten since there is nothing to copy.
    if people::number(&mut conn, &app.pen.vault, wish.person).await?.is_none() {
        return Err(Failed::Nothing);
    }
    let said = format!("export {id} saved, {}", wish.request.matter);
    let record = visitor.record("subject_export", &said);
    let record = Record { person: Some(wish.person), ..record };
    audit::record(&mut conn, &[record], now).await?;
    drop(conn);
    let name = format!("attachment; filename=\"person-{}.jsonl\"", wish.person);
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, body(app, wish.person, now)).into_response())
}

/// What is handed out. Where it cannot be finished it breaks off, and the browser says so.
fn body(app: App, person: PersonId, now: Timestamp) -> Body {
    let (near, far) = tokio::io::duplex(AHEAD);
    let written = tokio::spawn(async move {
        match timeout(PATIENCE, write(&app, person, now, near)).await {
            Ok(written) => written,
            Err(late) => Err(io::Error::other(late)),
        }
    });
    let end = stream::once(async move {
        match written.await.map_err(io::Error::other).and_then(|written| written) {
            Ok(()) => Ok(Bytes::new()),
            Err(error) => {
                tracing::warn!(%error, "a copy of what there is of a person broke off");
                Err(error)
            }
        }
    });
    Body::from_stream(ReaderStream::new(far).chain(end))
}

async fn write(app: &App, person: PersonId, now: Timestamp, to: DuplexStream) -> io::Result<()> {
    // A connection of its own: however slowly this is saved, the pool has all of its own.
    let mut conn = app.db.acquire().await.map_err(io::Error::other)?.detach();
    let mut to = BufWriter::new(to);
    let written = people::export::write(&mut conn, &app.pen.vault, person, now, &mut to).await;
    written.map(drop).map_err(io::Error::other)
}
