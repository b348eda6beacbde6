//! Handing an export out to whoever asked for it.

use axum::{
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};

use super::{again, file::Kept, store};
use crate::{
    app::App,
    audit,
    console::{
        page::{Failed, Page},
        say,
        visitor::Visitor,
    },
    database,
    ids::ExportId,
};

/// Hands the file out. Who takes it is on record before its first byte is read.
pub(in crate::console) async fn download(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    let id: ExportId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut conn = app.db.acquire().await?;
    let now = database::time(&mut conn, &app.clock).await?;
    let found = store::find(&mut conn, &app.pen.vault, id).await?;
    let job = found.filter(|job| job.request.asker == visitor.id()).ok_or(Failed::Nothing)?;
    let ready = job.is_ready(now);
    let (Some((place, key)), Some(bytes), true) = (job.file, job.bytes, ready) else {
        let problem = "There is no file: it is not written yet, or it is gone.";
        return again(&app, &visitor, id, problem).await;
    };
    let said = format!("export {id} downloaded, {}: {}", job.request.matter, job.request.reason);
    audit::record(&mut conn, &[visitor.record("export_download", &said)], now).await?;
    drop(conn);
    let storage = app.settings.media.storage.clone();
    let file = Kept { storage, place, key, pieces: job.pieces };
    let first = match file.piece(0).await {
        Ok(first) => first,
        Err(error) => {
            tracing::error!(export = %id, %error, "the file of an export cannot be read");
            let problem = "The file cannot be read from where it is kept. Whoever operates Maskline finds more in its log.";
            return again(&app, &visitor, id, problem).await;
        }
    };
    let body = Body::from_stream(stream::iter([Ok(first)]).chain(file.rest()));
    let name = format!("attachment; filename=\"maskline-export-{}.zip\"", say::pseudonym(id));
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, name),
    ];
    let response: Response = (StatusCode::OK, headers, body).into_response();
    Ok(response)
}
