//! Integrity: how far the trail is sealed and signed, and how anybody verifies that without us.

use askama::Template;
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;

use super::{
    page::{self, Failed, Frame, Page},
    say,
    visitor::Visitor,
};
use crate::{
    app::App,
    audit::{
        behind::{self, Behind},
        checkpoint::{self, Signed},
        guard,
    },
};

/// For how many seconds something may wait before that is told in colour.
const LATE: f64 = 120.0;

/// How the trail stands.
#[derive(Template)]
#[template(path = "integrity.html")]
struct Integrity {
    frame: Frame,
    last: Option<Signed>,
    behind: Behind,
    /// The public key; none where nothing is signed.
    key: Option<String>,
    places: usize,
    unguarded: Vec<String>,
    missing: Vec<String>,
    now: Timestamp,
}

impl Integrity {
    fn is_late(&self) -> bool {
        self.behind.seconds > LATE || (self.key.is_some() && self.behind.unsigned_seconds > LATE)
    }

    /// Whether anything here needs somebody.
    fn is_well(&self) -> bool {
        !self.is_late()
            && self.unguarded.is_empty()
            && self.missing.is_empty()
            && self.key.is_some()
            && self.places > 0
    }

    /// For how long the oldest record that is not sealed has waited.
    fn waited(&self) -> String {
        say::seconds(self.behind.seconds)
    }
}

/// Shows how the trail stands.
pub(super) async fn page(State(app): State<App>, visitor: Visitor) -> Page {
    let mut conn = app.db.acquire().await?;
    let last = checkpoint::last(&mut conn).await?;
    let audit = &app.settings.audit;
    Ok(page::show(&Integrity {
        frame: Frame::new(&visitor, "Integrity", "/integrity"),
        last,
        behind: behind::behind(&mut conn).await?,
        key: audit.signer.as_ref().map(|signer| signer.verifier().to_string()),
        places: audit.targets.len(),
        unguarded: guard::unguarded(&mut conn).await?,
        missing: guard::missing_months(&mut conn).await?,
        now: app.clock.now(),
    }))
}

/// The newest checkpoint as a file. It says nothing about anybody.
pub(super) async fn newest(State(app): State<App>) -> Result<Response, Failed> {
    let last = checkpoint::last(&mut *app.db.acquire().await?).await?.ok_or(Failed::Nothing)?;
    let name = format!("attachment; filename=\"checkpoint-{:020}.txt\"", last.size);
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, last.note).into_response())
}
