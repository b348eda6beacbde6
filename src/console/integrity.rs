//! Integrity: how far the trail is sealed and signed, and how anybody verifies that without us.

use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;

use super::{
    page::{self, Failed, Frame, Page},
    say,
    staff::Role,
    verification::{self, Verification},
    visitor::Visitor,
};
use crate::{
    app::App,
    audit::{
        self,
        behind::{self, Behind},
        checkpoint::{self, Signed},
        guard,
    },
    clock::SqlTimestamp,
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
    /// The last time that all was verified from here.
    verified: Option<Verification>,
    may_verify: bool,
    problem: Option<&'static str>,
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
            && self.behind.refused_since.is_none()
            && self.key.is_some()
            && self.places > 0
    }

    /// Whether whoever looks may begin to verify all of it: not while that goes on.
    fn may_verify_now(&self) -> bool {
        self.may_verify && !self.verified.as_ref().is_some_and(|last| last.is_running)
    }

    /// Since when the signer refuses.
    fn refused_since(&self) -> Option<Timestamp> {
        self.behind.refused_since.map(SqlTimestamp::to_jiff)
    }

    /// For how long the oldest record that is not sealed has waited.
    fn waited(&self) -> String {
        say::seconds(self.behind.seconds)
    }
}

/// Shows how the trail stands.
pub(super) async fn page(State(app): State<App>, visitor: Visitor) -> Page {
    Ok(page::show(&look(&app, &visitor).await?))
}

async fn look(app: &App, visitor: &Visitor) -> sqlx::Result<Integrity> {
    let mut conn = app.db.acquire().await?;
    let last = checkpoint::last(&mut conn).await?;
    let audit = &app.settings.audit;
    Ok(Integrity {
        frame: Frame::new(visitor, "Integrity", "/integrity"),
        last,
        behind: behind::behind(&mut conn).await?,
        key: audit.signer.as_ref().map(|signer| signer.verifier().to_string()),
        places: audit.targets.len(),
        unguarded: guard::unguarded(&mut conn).await?,
        missing: guard::missing_months(&mut conn).await?,
        verified: verification::last(&mut conn).await?,
        may_verify: visitor.role() != Role::Operator,
        problem: None,
        now: app.clock.now(),
    })
}

/// Verifies the whole trail, behind the page that shows how far that is.
pub(super) async fn verify(State(app): State<App>, visitor: Visitor) -> Page {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let Some(id) = verification::begin(&mut tx, visitor.id(), now).await? else {
        drop(tx);
        let problem = Some("It is being verified already: see how far that is below.");
        let page = Integrity { problem, ..look(&app, &visitor).await? };
        return Ok(page::show_with(StatusCode::CONFLICT, &page));
    };
    let record = visitor.record("trail_verify", "asked whether the trail is intact");
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    tokio::spawn(verification::run(app, visitor, id));
    Ok(Redirect::to("/integrity#now").into_response())
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
