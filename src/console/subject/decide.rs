//! Granting and refusing what somebody else has asked for.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};

use super::{
    Failed, New, Page, again,
    store::{self, Kind},
};
use crate::{
    app::App,
    audit::{self, Record},
    consent,
    console::visitor::Visitor,
    dispatch::{self, Erased},
    ids::{PersonId, SubjectRequestId},
};

/// Grants what somebody else has asked for. Whoever asked to be forgotten is, at once.
pub(in crate::console) async fn grant(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    let id: SubjectRequestId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut tx = app.db.begin().await?;
    let request = store::find(&mut tx, id).await?.ok_or(Failed::Nothing)?;
    let person = request.person;
    // Nothing of theirs is written down meanwhile.
    let now = consent::lock(&mut tx, person, app.clock.instead()).await?;
    if !store::decide(&mut tx, &request, visitor.id(), true, now).await? {
        return decided_already(tx, &app, &visitor, person).await;
    }
    let said = format!("{} {id} for {} granted", request.kind.as_str(), request.asked_by);
    let said = match request.kind {
        Kind::Export => said,
        Kind::Erasure => match dispatch::erase(&mut tx, &app.pen, person, now).await? {
            Erased::Now { conversations, texts, pictures, .. } => format!(
                "{said}: {conversations} conversations ended, {texts} texts dropped, {pictures} pictures to be removed"
            ),
            Erased::Held(matters) => {
                drop(tx);
                let problem = format!("A legal hold keeps them: {}.", matters.join(", "));
                return again(&app, &visitor, person, problem, New::default()).await;
            }
            Erased::Gone => {
                drop(tx);
                let problem = "They were forgotten meanwhile.".to_owned();
                return again(&app, &visitor, person, problem, New::default()).await;
            }
        },
    };
    let record = visitor.record("subject_grant", &said);
    audit::record(&mut tx, &[Record { person: Some(person), ..record }], now).await?;
    tx.commit().await?;
    app.wake.notify_one();
    let done = if request.kind == Kind::Erasure { "erased" } else { "granted" };
    Ok(Redirect::to(&format!("/subjects/{person}?done={done}")).into_response())
}

/// Refuses what somebody else has asked for.
pub(in crate::console) async fn refuse(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    let id: SubjectRequestId = id.parse().map_err(|_| Failed::Nothing)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let request = store::find(&mut tx, id).await?.ok_or(Failed::Nothing)?;
    let person = request.person;
    if !store::decide(&mut tx, &request, visitor.id(), false, now).await? {
        return decided_already(tx, &app, &visitor, person).await;
    }
    let said = format!("{} {id} for {} refused", request.kind.as_str(), request.asked_by);
    let record = visitor.record("subject_refuse", &said);
    audit::record(&mut tx, &[Record { person: Some(person), ..record }], now).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("/subjects/{person}?done=refused")).into_response())
}

async fn decided_already(
    tx: sqlx::PgTransaction<'_>,
    app: &App,
    visitor: &Visitor,
    person: PersonId,
) -> Page {
    drop(tx);
    let problem = "It is decided already, or you asked for it yourself.".to_owned();
    again(app, visitor, person, problem, New::default()).await
}
