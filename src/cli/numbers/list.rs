//! `maskline numbers list`.

use sqlx::PgConnection;

use super::word;
use crate::{
    cli::{
        Done,
        list::{self, Format},
    },
    clock::Clock,
    config::PoolSettings,
    pool::{self, Forecast, Listed, NumberState},
};

/// Prints the pool. The forecast stands below the table only: programs read it from `/metrics`.
pub(super) async fn run(conn: &mut PgConnection, settings: &PoolSettings, format: Format) -> Done {
    let now = Clock::System.now();
    let numbers = pool::list(conn, now).await?;
    let forecast = pool::forecast(conn, settings, now).await?;
    let none = "The pool is empty. Add your first number:  maskline numbers add +14155550100";
    list::print(&numbers, format, none, |numbers| {
        print!("{}\n{}", table(numbers), outlook(&forecast));
    })
}

fn table(numbers: &[Listed]) -> String {
    let mut table = format!(
        "{:<17} {:<18} {:>6} {:>7} {:>9} {:>9} {:>11}  {:<21} WHY\n",
        "NUMBER", "STATE", "OPEN", "PEOPLE", "TEXTS 7D", "FAILED 7D", "UNDELIVERED", "SINCE"
    );
    for listed in numbers {
        let Listed { number, open_conversations, people, accepted, failed, .. } = listed;
        let state = state(listed);
        let undelivered =
            listed.undelivered_percent.map_or("-".to_owned(), |percent| format!("{percent:.1} %"));
        let since = format!("{:.0}", listed.state_since);
        let why = listed.reason.as_deref().unwrap_or_default();
        let row = format!(
            "{number:<17} {state:<18} {open_conversations:>6} {people:>7} {accepted:>9} \
             {failed:>9} {undelivered:>11}  {since:<21} {why}"
        );
        table += row.trim_end();
        table.push('\n');
    }
    table
}

/// The state in words. A number that is retiring is retired once nothing stands on it.
fn state(listed: &Listed) -> String {
    match (listed.state, listed.open_conversations) {
        (NumberState::Retiring, 0) => "retired".into(),
        (NumberState::Retiring, open) => format!("retiring ({open} open)"),
        (state, _) => word(state).into(),
    }
}

/// How full the pool is and will be, and what to do when it runs short.
fn outlook(forecast: &Forecast) -> String {
    let Forecast { places, used, .. } = forecast;
    let growth = forecast.growth_per_day();
    let mut said = match places {
        0 => "No number is in service: no conversation can be opened.\n".to_owned(),
        _ => format!(
            "Places: {used} of {places} used ({:.0} %). A place is room for one person in an open \
             conversation.\nNet growth over the last 7 days: {growth:+.1} people a day. Full: {}.\n",
            forecast.used_share(),
            forecast.outlook(),
        ),
    };
    if forecast.is_short() {
        said += "WARNING: the pool runs short. Buy numbers at Flowroute, then: \
                 maskline numbers add NUMBER…\n";
    }
    said
}
