//! Retention: which months of the trail are old enough to be removed, and what keeps the others. One account asks for
//! their removal and another grants it; nobody here can remove them. The trail's owner does, by a command.

mod decide;
pub(super) mod store;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect},
};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::PgConnection;

pub(super) use self::decide::{grant, refuse};
use self::store::{Gone, Named, Removal};
use super::{
    page::{self, Asked, Frame, Page, Sent},
    request::{self, Stands},
    say,
    staff::Role,
    visitor::Visitor,
    words,
};
use crate::{
    app::App,
    audit::{
        self,
        retain::{self, Month},
    },
    database,
    ids::StaffId,
};

/// What may be removed, what was asked for, and what is gone.
#[derive(Template)]
#[template(path = "retention.html")]
struct Retention {
    frame: Frame,
    /// For how many whole months records are kept; none where for ever.
    keep: Option<u32>,
    due: Vec<Month>,
    strays: i64,
    removals: Vec<Removal>,
    gone: Vec<Gone>,
    /// Whether manifests of what is removed can be signed.
    has_key: bool,
    own: StaffId,
    may_ask: bool,
    may_decide: bool,
    now: Timestamp,
    problem: Option<String>,
    new: New,
}

/// What is asked for, in the form. Nothing is chosen until it was sent.
#[derive(Default)]
struct New {
    months: Option<Vec<String>>,
    reason: String,
    matter: String,
}

impl New {
    /// Reads a form, which names a month for each box that is checked.
    fn read(fields: Vec<(String, String)>) -> Self {
        let mut new = Self { months: Some(Vec::new()), ..Self::default() };
        for (name, value) in fields {
            match name.as_str() {
                "month" => new.months.get_or_insert_default().push(value),
                "reason" => new.reason = value,
                "matter" => new.matter = value,
                _ => {}
            }
        }
        new
    }
}

impl Retention {
    /// What keeps a month, or who has a say in it already; nothing where its removal can be asked for.
    fn keeps(&self, month: &Month) -> Option<(String, &'static str)> {
        if let Some(why) = month.stays() {
            return Some((format!("stays: {why}"), " warn"));
        }
        let claim = self.removals.iter().find(|it| it.claims(&month.name, self.now))?;
        let (said, tone) = if claim.request.waits(self.now) {
            ("removal asked for", "")
        } else {
            ("removal granted", " good")
        };
        Some((said.to_owned(), tone))
    }

    /// The months whose removal can be asked for.
    fn free(&self) -> Vec<&Month> {
        self.due.iter().filter(|month| self.keeps(month).is_none()).collect()
    }

    /// Those that are chosen in the form, each of which must be free.
    fn chosen(&self, new: &New) -> Result<Vec<&Month>, String> {
        let names = new.months.as_deref().unwrap_or_default();
        if !self.has_key {
            return Err("No signing key is set, so nothing can be removed.".to_owned());
        }
        let free = self.free();
        if let Some(other) = names.iter().find(|name| free.iter().all(|it| it.name != **name)) {
            // Whoever sends what no box of ours says is not answered with it.
            let known = self.due.iter().find(|month| month.name == *other);
            let name = known.map_or("One of the months", |month| month.name.as_str());
            return Err(format!(
                "{name} cannot be asked for any more: look at the months below, and choose anew."
            ));
        }
        let chosen: Vec<&Month> =
            free.into_iter().filter(|month| names.contains(&month.name)).collect();
        if chosen.is_empty() { Err("Choose a month.".to_owned()) } else { Ok(chosen) }
    }

    /// Whether the box of a month is checked.
    fn is_chosen(&self, month: &Month) -> bool {
        self.new.months.as_ref().is_none_or(|months| months.contains(&month.name))
    }

    /// How many records the free months have.
    fn removable(&self) -> String {
        say::count(&self.free().iter().map(|month| month.records).sum())
    }

    /// Where a removal stands: the colour of the word, and the word.
    fn standing(&self, removal: &Removal) -> (&'static str, &'static str) {
        let is_done = removal.is_done();
        let (open, done) = if is_done { ("removed", "removed") } else { ("granted", "over") };
        removal.request.tag(self.now, open, done)
    }

    /// What became of one of its months, or what keeps it.
    fn fate(&self, removal: &Removal, month: &Named) -> String {
        if let Some((at, records)) = &month.gone {
            let how = if month.is_done { "" } else { ", but not by this request" };
            return format!("{} records removed on {}{how}", say::count(records), say::moment(at));
        }
        let due = self.due.iter().find(|due| due.name == month.name);
        let keeps = due.map_or_else(|| Some("not old enough".to_owned()), Month::stays);
        let stayed = month.stayed.as_ref();
        let stayed = stayed.map(|(at, why)| format!("stayed on {}: {why}", say::moment(at)));
        match (removal.request.stands(self.now), keeps, stayed) {
            (Stands::Open | Stands::Asked, Some(why), _) => format!("stays: {why}"),
            (Stands::Open, None, Some(stayed)) => format!("{stayed}; the next run tries again"),
            (Stands::Open, None, None) => "the owner’s command removes it".to_owned(),
            (Stands::Asked, None, _) => "may be removed".to_owned(),
            (Stands::Done, _, Some(stayed)) => stayed,
            _ => "stayed".to_owned(),
        }
    }
}

async fn look(
    conn: &mut PgConnection,
    app: &App,
    visitor: &Visitor,
    now: Timestamp,
) -> sqlx::Result<Retention> {
    let keep = app.settings.audit.keep_months;
    let (due, strays) = match keep {
        Some(keep) => (retain::due(conn, keep, now).await?, retain::strays(conn, keep, now).await?),
        None => (Vec::new(), 0),
    };
    Ok(Retention {
        frame: Frame::new(visitor, "Retention", "/retention"),
        keep,
        due,
        strays,
        removals: store::list(conn, now).await?,
        gone: store::gone(conn).await?,
        has_key: app.settings.audit.signer.is_some(),
        own: visitor.id(),
        may_ask: visitor.role() == Role::Auditor,
        may_decide: visitor.role() == Role::Approver,
        now,
        problem: None,
        new: New::default(),
    })
}

/// What was just done.
#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

/// Shows which months are old enough, and what was asked for.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    Asked(Done { done }): Asked<Done>,
) -> Page {
    let mut conn = app.db.acquire().await?;
    let now = database::time(&mut conn, &app.clock).await?;
    let mut page = look(&mut conn, &app, &visitor, now).await?;
    page.frame = page.frame.saying(done.as_deref().and_then(|done| match done {
        "asked" => Some("You have asked. An approver must decide before anything is removed."),
        "granted" => Some("It is granted: the owner’s command removes the months."),
        "refused" => Some("It is refused."),
        _ => None,
    }));
    Ok(page::show(&page))
}

/// The page once more, with what is wrong and what was written.
async fn again(app: &App, visitor: &Visitor, problem: String, new: New) -> Page {
    let mut conn = app.db.acquire().await?;
    let now = database::time(&mut conn, &app.clock).await?;
    let page = look(&mut conn, app, visitor, now).await?;
    let page = Retention { problem: Some(problem), new, ..page };
    Ok(page::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Asks for the removal of months.
pub(super) async fn ask(
    State(app): State<App>,
    visitor: Visitor,
    Sent(fields): Sent<Vec<(String, String)>>,
) -> Page {
    let new = New::read(fields);
    let lines = words::line(&new.matter, "The case")
        .and_then(|matter| Ok((matter, words::line(&new.reason, "The reason")?)));
    let (matter, reason) = match lines {
        Ok(lines) => lines,
        Err(problem) => return again(&app, &visitor, problem, new).await,
    };
    let mut tx = app.db.begin().await?;
    store::take_turns(&mut tx).await?;
    let now = database::time(&mut tx, &app.clock).await?;
    // What has lapsed is in nobody's way.
    request::lapse(&mut tx, now).await?;
    let here = look(&mut tx, &app, &visitor, now).await?;
    let months = match here.chosen(&new) {
        Ok(months) => months,
        Err(problem) => {
            drop(tx);
            return again(&app, &visitor, problem, new).await;
        }
    };
    let lapses_at = request::after(now, app.settings.console.request_lifetime);
    let id =
        store::ask(&mut tx, &months, (&matter, &reason), visitor.id(), (now, lapses_at)).await?;
    let names: Vec<&str> = months.iter().map(|month| month.name.as_str()).collect();
    let records: i64 = months.iter().map(|month| month.records).sum();
    let said = format!(
        "removal {id} of {} asked for, {records} records, {matter}: {reason}",
        names.join(", ")
    );
    audit::record(&mut tx, &[visitor.record("retention_ask", &said)], now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/retention?done=asked").into_response())
}
