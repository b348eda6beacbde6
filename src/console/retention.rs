//! Retention: which months of the trail are old enough to be removed, and what keeps the others.

use askama::Template;
use axum::extract::State;

use super::{
    page::{self, Frame, Page},
    say,
    visitor::Visitor,
};
use crate::{
    app::App,
    audit::retain::{self, Month},
};

/// What may be removed.
#[derive(Template)]
#[template(path = "retention.html")]
struct Retention {
    frame: Frame,
    /// For how many whole months records are kept; none where for ever.
    keep: Option<u32>,
    due: Vec<Month>,
    strays: i64,
    /// Whether manifests of what is removed can be signed.
    has_key: bool,
}

impl Retention {
    /// What becomes of a month, and the colour of that.
    fn fate(month: &Month) -> (String, &'static str) {
        if !month.held.is_empty() {
            (format!("stays: legal hold for {}", month.held.join(", ")), "warn")
        } else if month.unsealed > 0 {
            (format!("stays: {} records are not sealed yet", say::count(&month.unsealed)), "warn")
        } else {
            ("may be removed".to_owned(), "")
        }
    }

    /// How many records may be removed.
    fn removable(&self) -> String {
        let free = |month: &&Month| month.held.is_empty() && month.unsealed == 0;
        say::count(&self.due.iter().filter(free).map(|month| month.records).sum())
    }
}

/// Shows which months are old enough. Only the trail's owner can remove them, which nobody is here.
pub(super) async fn page(State(app): State<App>, visitor: Visitor) -> Page {
    let keep = app.settings.audit.keep_months;
    let now = app.clock.now();
    let mut conn = app.db.acquire().await?;
    let (due, strays) = match keep {
        Some(keep) => {
            (retain::due(&mut conn, keep, now).await?, retain::strays(&mut conn, keep, now).await?)
        }
        None => (Vec::new(), 0),
    };
    Ok(page::show(&Retention {
        frame: Frame::new(&visitor, "Retention", "/retention"),
        keep,
        due,
        strays,
        has_key: app.settings.audit.signer.is_some(),
    }))
}
