//! The overview: what waits for whoever is signed in.

use askama::Template;
use axum::extract::State;
use jiff::Timestamp;
use sqlx::PgConnection;

use super::{
    exports,
    page::{self, Frame, Page},
    retention, reveal, say,
    staff::{self, Role},
    subject,
    visitor::Visitor,
};
use crate::{
    app::App,
    audit::{behind, checkpoint, guard, holds},
    database, pool, tasks,
};

/// The overview.
#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    may: &'static str,
    cards: Vec<Card>,
}

/// Something that may wait.
struct Card {
    path: &'static str,
    word: &'static str,
    figure: String,
    about: String,
    /// `bad` where it is late, `warn` where it waits for who looks, and nothing where all is well.
    tone: &'static str,
}

/// Shows what waits.
pub(super) async fn page(State(app): State<App>, visitor: Visitor) -> Page {
    let mut conn = app.db.acquire().await?;
    let now = database::time(&mut conn, &app.clock).await?;
    let (may, cards) = match visitor.role() {
        Role::Operator => (
            "You look after numbers and tasks. You read no words.",
            vec![of_tasks(&mut conn, now).await?, of_numbers(&mut conn, &app, now).await?],
        ),
        Role::Auditor => (
            "You search and read the trail. People stand in it masked.",
            vec![of_tasks(&mut conn, now).await?, of_holds(&mut conn, &visitor).await?],
        ),
        Role::Approver => (
            "You approve what others ask for.",
            vec![of_holds(&mut conn, &visitor).await?, of_tasks(&mut conn, now).await?],
        ),
        Role::Admin => (
            "You look after the accounts of staff. You read no words.",
            vec![of_staff(&mut conn, now).await?, of_numbers(&mut conn, &app, now).await?],
        ),
    };
    let mut cards = cards;
    if matches!(visitor.role(), Role::Auditor | Role::Approver) {
        cards.insert(0, of_reveals(&mut conn, &visitor, now).await?);
        cards.insert(1, of_subjects(&mut conn, &visitor, now).await?);
        cards.insert(2, of_exports(&mut conn, &app, &visitor, now).await?);
        if app.settings.audit.keep_months.is_some() {
            cards.insert(3, of_retention(&mut conn, &visitor, now).await?);
        }
    }
    cards.push(of_integrity(&mut conn, now).await?);
    Ok(page::show(&Home { frame: Frame::new(&visitor, "Overview", "/"), may, cards }))
}

async fn of_tasks(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<Card> {
    let open = tasks::places(conn, false).await?;
    let overdue = open.iter().filter(|(due_at, _)| *due_at < now).count();
    let next = open.iter().find(|(due_at, _)| *due_at >= now);
    let (about, tone) = match (overdue, next) {
        (1.., _) => (format!("{overdue} overdue"), "bad"),
        (0, Some((due_at, _))) => {
            (format!("the next is due {}", say::distance(due_at, &now)), "warn")
        }
        (0, None) => ("nothing waits".to_owned(), ""),
    };
    Ok(Card { path: "/tasks", word: "Open tasks", figure: open.len().to_string(), about, tone })
}

async fn of_reveals(
    conn: &mut PgConnection,
    visitor: &Visitor,
    now: Timestamp,
) -> sqlx::Result<Card> {
    let listed = reveal::store::list(conn).await?;
    let red = listed.iter().filter(|reveal| reveal.is_red()).count();
    let waiting = listed.iter().filter(|reveal| reveal.request.waits(now)).count();
    let open = listed.iter().filter(|reveal| reveal.request.is_open(now)).count();
    let (about, tone) = match (red, waiting, visitor.role()) {
        (1.., ..) => (format!("{red} opened without approval, not reviewed"), "bad"),
        (0, 1.., Role::Approver) => (format!("{waiting} wait for you"), "warn"),
        (0, 1.., _) => (format!("{waiting} wait for an approver"), ""),
        _ => ("none waits".to_owned(), ""),
    };
    Ok(Card { path: "/reveals", word: "Numbers shown now", figure: open.to_string(), about, tone })
}

async fn of_subjects(
    conn: &mut PgConnection,
    visitor: &Visitor,
    now: Timestamp,
) -> sqlx::Result<Card> {
    let listed = subject::store::list(conn).await?;
    let waiting = listed.iter().filter(|wish| wish.request.waits(now)).count();
    let (about, tone) = match (waiting, visitor.role()) {
        (0, _) => ("none waits", ""),
        (_, Role::Approver) => ("copies and erasures wait for you", "warn"),
        _ => ("copies and erasures wait for an approver", ""),
    };
    let (figure, about) = (waiting.to_string(), about.to_owned());
    Ok(Card { path: "/subjects", word: "People’s requests", figure, about, tone })
}

async fn of_exports(
    conn: &mut PgConnection,
    app: &App,
    visitor: &Visitor,
    now: Timestamp,
) -> sqlx::Result<Card> {
    let is_approver = visitor.role() == Role::Approver;
    let of = (!is_approver).then(|| visitor.id());
    let listed = exports::store::list(conn, &app.pen.vault, of).await?;
    let asked = listed.iter().filter(|job| job.request.waits(now));
    let others = asked.clone().filter(|job| job.request.asker != visitor.id()).count();
    let (about, tone) = match (others, asked.count(), is_approver) {
        (1.., _, true) => (format!("{others} wait for you"), "warn"),
        (_, 1.., _) => ("an approver must decide".to_owned(), ""),
        _ => ("none waits".to_owned(), ""),
    };
    let figure = listed.iter().filter(|job| job.is_ready(now)).count().to_string();
    Ok(Card { path: "/exports", word: "Exports ready", figure, about, tone })
}

async fn of_retention(
    conn: &mut PgConnection,
    visitor: &Visitor,
    now: Timestamp,
) -> sqlx::Result<Card> {
    let listed = retention::store::list(conn, now).await?;
    let waiting = listed.iter().filter(|removal| removal.request.waits(now)).count();
    let (about, tone) = match (waiting, visitor.role()) {
        (0, _) => ("none waits", ""),
        (_, Role::Approver) => ("months to be removed wait for you", "warn"),
        _ => ("months to be removed wait for an approver", ""),
    };
    let (figure, about) = (waiting.to_string(), about.to_owned());
    Ok(Card { path: "/retention", word: "Removals asked for", figure, about, tone })
}

async fn of_holds(conn: &mut PgConnection, visitor: &Visitor) -> sqlx::Result<Card> {
    let in_force = holds::list(conn, false).await?;
    let asked = in_force.iter().filter(|hold| hold.asked_by.is_some());
    let others = asked.filter(|hold| !hold.is_asked_by(visitor.by())).count();
    let (about, tone) = match (others, visitor.role()) {
        (1.., Role::Approver) => (format!("{others} to be released wait for you"), "warn"),
        (1.., _) => (format!("{others} wait for an approver"), ""),
        _ => ("none is to be released".to_owned(), ""),
    };
    let figure = in_force.len().to_string();
    Ok(Card { path: "/holds", word: "Holds in force", figure, about, tone })
}

async fn of_numbers(conn: &mut PgConnection, app: &App, now: Timestamp) -> sqlx::Result<Card> {
    let forecast = pool::forecast(conn, &app.settings.pool, now).await?;
    let tone = if forecast.is_short() { "warn" } else { "" };
    let figure = format!("{:.0} %", forecast.used_share());
    Ok(Card { path: "/numbers", word: "Places used", figure, about: forecast.outlook(), tone })
}

async fn of_staff(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<Card> {
    let accounts = staff::list(conn, now).await?;
    let locked = accounts.iter().filter(|account| account.locked_until.is_some()).count();
    let figure = accounts.iter().filter(|account| account.disabled_at.is_none()).count();
    let (about, tone) = match locked {
        0 => ("none is locked".to_owned(), ""),
        _ => (format!("{locked} locked after failures"), "warn"),
    };
    Ok(Card { path: "/staff", word: "Accounts", figure: figure.to_string(), about, tone })
}

async fn of_integrity(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<Card> {
    let last = checkpoint::last(conn).await?;
    let waiting = behind::behind(conn).await?.records;
    let is_open = !guard::unguarded(conn).await?.is_empty();
    let (figure, about) = match &last {
        None => ("unsigned".to_owned(), "no checkpoint was signed yet".to_owned()),
        Some(last) => (say::count(&last.size), format!("signed {}", say::distance(&last.at, &now))),
    };
    let (about, tone) = match (is_open, last.is_some()) {
        (true, _) => ("the trail can be changed".to_owned(), "bad"),
        (_, false) => (about, "warn"),
        _ if waiting > 0 => (format!("{about}, {} not sealed yet", say::count(&waiting)), ""),
        _ => (about, ""),
    };
    Ok(Card { path: "/integrity", word: "Records proved", figure, about, tone })
}
