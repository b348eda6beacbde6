//! The pool of masked numbers, and how well it is.

use askama::Template;
use axum::extract::State;

use super::{
    page::{self, Frame, Page},
    say,
    visitor::Visitor,
};
use crate::{
    app::App,
    pool::{self, Forecast, Listed, NumberState},
};

/// The pool.
#[derive(Template)]
#[template(path = "numbers.html")]
struct Numbers {
    frame: Frame,
    listed: Vec<Listed>,
    forecast: Forecast,
}

impl Numbers {
    /// The state in words, and how it is coloured.
    fn state(listed: &Listed) -> (&'static str, &'static str) {
        match (listed.state, listed.open_conversations) {
            (NumberState::InService, _) => ("in service", "good"),
            (NumberState::Reserved, _) => ("reserved", ""),
            (NumberState::Retiring, 0) => ("retired", ""),
            (NumberState::Retiring, _) => ("retiring", "warn"),
            (NumberState::Quarantined, _) => ("quarantined", "bad"),
        }
    }

    /// The share of places that are used, in whole per cent.
    fn share(&self) -> String {
        format!("{:.0} %", self.forecast.used_share())
    }

    /// The growth a day.
    fn growth(&self) -> String {
        format!("{:+.1}", self.forecast.growth_per_day()).replace('-', "\u{2212}")
    }
}

/// Shows the pool.
pub(super) async fn page(State(app): State<App>, visitor: Visitor) -> Page {
    let now = app.clock.now();
    let mut conn = app.db.acquire().await?;
    Ok(page::show(&Numbers {
        frame: Frame::new(&visitor, "Numbers", "/numbers"),
        listed: pool::list(&mut conn, now).await?,
        forecast: pool::forecast(&mut conn, &app.settings.pool, now).await?,
    }))
}
