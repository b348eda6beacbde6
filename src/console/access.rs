//! The access log: what staff did and looked at, this page included.

use askama::Template;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    page::{self, Asked, Frame, Page},
    say,
    visitor::Visitor,
};
use crate::{
    app::App,
    audit::{
        self,
        deeds::{self, Deed},
    },
};

/// What staff did.
#[derive(Template)]
#[template(path = "access.html")]
struct Access {
    frame: Frame,
    deeds: Vec<Deed>,
    by: String,
    what: String,
    /// Where the next page begins.
    next: Option<String>,
    is_first: bool,
}

/// The kinds of deeds that can be asked for: how their rules begin, and what they are called.
const KINDS: [(&str, &str); 8] = [
    ("", "Everything"),
    ("sign_", "Signing in and out"),
    ("console_", "Reading in the console"),
    ("audit_", "Reading on the command line"),
    ("holds_", "Legal holds"),
    ("reveal_", "Reveals"),
    ("export_", "Exports"),
    ("staff_", "Accounts of staff"),
];

/// What of it is asked for.
#[derive(Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    by: String,
    #[serde(default)]
    what: String,
    before: Option<String>,
}

/// Shows what staff did. That somebody looked is on record, too.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    Asked(wish): Asked<Wish>,
) -> Page {
    let before = wish.before.as_deref().and_then(|before| {
        let (at, id) = before.split_once('_')?;
        Some((Timestamp::from_microsecond(at.parse().ok()?).ok()?, id.parse().ok()?))
    });
    let mut conn = app.db.acquire().await?;
    let (by, what) = (wish.by.trim(), wish.what.trim());
    let mut deeds = deeds::list(&mut conn, by, what, before).await?;
    let more = deeds.len() > deeds::PAGE;
    deeds.truncate(deeds::PAGE);
    let record =
        visitor.record("console_access", &format!("{} deeds of staff listed", deeds.len()));
    audit::record(&mut conn, &[record], app.clock.now()).await?;
    let next = deeds.last().filter(|_| more).map(|deed| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("by", by).append_pair("what", what);
        query.append_pair("before", &format!("{}_{}", deed.at.as_microsecond(), deed.id));
        format!("/access?{}", query.finish())
    });
    Ok(page::show(&Access {
        frame: Frame::new(&visitor, "Access log", "/access"),
        deeds,
        by: by.to_owned(),
        what: what.to_owned(),
        next,
        is_first: before.is_none(),
    }))
}

impl Access {
    fn is_wanted(&self, kind: &str) -> bool {
        self.what == kind
    }

    /// Who, and what, of a record's words.
    fn parts(deed: &Deed) -> (&str, &str) {
        let detail = deed.detail.as_deref().unwrap_or_default();
        let detail = detail.strip_prefix("by ").unwrap_or(detail);
        detail.split_once(": ").unwrap_or((detail, ""))
    }
}
