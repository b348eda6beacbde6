//! Granting and refusing a removal that somebody else has asked for. Granted, it is carried out by the trail's owner.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};

use super::{New, again, store};
use crate::{
    app::App,
    audit,
    console::{
        page::{Failed, Page},
        request::{self, DECIDED},
        visitor::Visitor,
    },
    database,
    ids::RemovalRequestId,
};

/// Grants what somebody else has asked for.
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
    let id: RemovalRequestId = id.parse().map_err(|_| Failed::Nothing)?;
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let removal = store::find(&mut tx, id, now).await?.ok_or(Failed::Nothing)?;
    if let Err(problem) = removal.request.judge(visitor.id(), now) {
        request::leave(tx, now).await?;
        return again(&app, &visitor, problem.to_owned(), New::default()).await;
    }
    if !store::decide(&mut tx, id, visitor.id(), is_granted, now).await? {
        drop(tx);
        return again(&app, &visitor, DECIDED.to_owned(), New::default()).await;
    }
    let (rules, what) =
        (("retention_grant", "retention_refuse"), format!("removal {id} of {}", removal.names()));
    let record = removal.request.decided(&visitor, rules, what, is_granted, "");
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    let done = if is_granted { "granted" } else { "refused" };
    Ok(Redirect::to(&format!("/retention?done={done}")).into_response())
}
