//! The overview: what waits for whoever is signed in.

use askama::Template;
use axum::extract::State;

use super::{
    page::{self, Frame, Page},
    staff::Role,
    visitor::Visitor,
};
use crate::app::App;

/// The overview.
#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    may: &'static str,
}

/// Shows what waits.
pub(super) async fn page(State(_): State<App>, visitor: Visitor) -> Page {
    let may = match visitor.role() {
        Role::Operator => "You look after numbers and tasks. You read no words.",
        Role::Auditor => "You search and read the trail. People stand in it masked.",
        Role::Approver => "You approve what others ask for.",
        Role::Admin => "You look after the accounts of staff. You read no words.",
    };
    Ok(page::show(&Home { frame: Frame::new(&visitor, "Overview", "/"), may }))
}
