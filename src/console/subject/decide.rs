//! Granting and refusing what somebody else has asked for.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use jiff::Timestamp;
use sqlx::PgConnection;

use super::{
    Failed, New, Page, again,
    store::{self, Kind, Wish},
};
use crate::{
    app::App,
    audit::{self, Record},
    consent,
    console::{
        request::{self, DECIDED},
        visitor::Visitor,
    },
    dispatch::{self, Erased},
    ids::SubjectRequestId,
};

/// Grants what somebody else has asked for. Whoever asked to be forgotten is, at once.
pub(in crate::console) async fn grant(
    state: State<App>,
    visitor: Visitor,
    id: Path<String>,
) -> Page {
    decide(state, visitor, id, true).await
}

/// Refuses it.
pub(in crate::console) async fn refuse(
    state: State<App>,
    visitor: Visitor,
    id: Path<String>,
) -> Page {
    decide(state, visitor, id, false).await
}

async fn decide(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    is_granted: bool,
) -> Page {
    let id: SubjectRequestId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut tx = app.db.begin().await?;
    let wish = store::find(&mut tx, id).await?.ok_or(Failed::Nothing)?;
    let person = wish.person;
    // Nothing of theirs is written down meanwhile.
    let now = consent::lock(&mut tx, person, app.clock.instead()).await?;
    if let Err(problem) = wish.request.judge(visitor.id(), now) {
        request::leave(tx, now).await?;
        return again(&app, &visitor, person, problem.to_owned(), New::default()).await;
    }
    let done = match carry_out(&mut tx, &app, &visitor, (&wish, is_granted), now).await? {
        Ok(done) => done,
        Err(problem) => {
            drop(tx);
            return again(&app, &visitor, person, problem, New::default()).await;
        }
    };
    tx.commit().await?;
    app.wake.notify_one();
    Ok(Redirect::to(&format!("/subjects/{person}?done={done}")).into_response())
}

/// Does what was decided, and puts it on record. What was done, in a word, or why nothing was.
async fn carry_out(
    conn: &mut PgConnection,
    app: &App,
    visitor: &Visitor,
    (wish, is_granted): (&Wish, bool),
    now: Timestamp,
) -> sqlx::Result<Result<&'static str, String>> {
    if !store::decide(conn, wish, visitor.id(), is_granted, now).await? {
        return Ok(Err(DECIDED.to_owned()));
    }
    let (done, more) = match (is_granted, wish.kind) {
        (false, _) => ("refused", String::new()),
        (true, Kind::Export) => ("granted", String::new()),
        (true, Kind::Erasure) => match dispatch::erase(conn, &app.pen, wish.person, now).await? {
            Erased::Now { conversations, texts, pictures, .. } => (
                "erased",
                format!(
                    ": {conversations} conversations ended, {texts} texts dropped, {pictures} pictures to be removed"
                ),
            ),
            Erased::Held(matters) => {
                return Ok(Err(format!("A legal hold keeps them: {}.", matters.join(", "))));
            }
            Erased::Gone => return Ok(Err("They were forgotten meanwhile.".to_owned())),
        },
    };
    let (rules, what) =
        (("subject_grant", "subject_refuse"), format!("{} {}", wish.kind.as_str(), wish.id));
    let record = wish.request.decided(visitor, rules, what, is_granted, &more);
    audit::record(conn, &[Record { person: Some(wish.person), ..record }], now).await?;
    Ok(Ok(done))
}
