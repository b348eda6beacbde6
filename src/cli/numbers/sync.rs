//! `maskline numbers sync`: the pool after the account.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
};

use sqlx::PgConnection;

use super::{By, record};
use crate::{
    audit,
    carrier::Flowroute,
    cli::{self, Done, Failure},
    phone::PhoneNumber,
    pool::{self, NumberState, Plan},
};

/// Why a number is retired here, as the list shows it.
const GONE: &str = "not in the Flowroute account";

/// Reads the account's numbers. An empty account is an error: it would retire the whole pool.
pub(super) async fn read(carrier: &Flowroute) -> Result<BTreeSet<PhoneNumber>, Failure> {
    let account = carrier.numbers().await?;
    if account.is_empty() {
        return Err(
            "this Flowroute account has no numbers: nothing was changed. Are these the keys \
                    of the right account? To empty the pool, use `maskline numbers retire`"
                .into(),
        );
    }
    Ok(account)
}

/// Compares the account with the pool.
pub(super) async fn plan(
    conn: &mut PgConnection,
    account: &BTreeSet<PhoneNumber>,
) -> sqlx::Result<Plan> {
    Ok(Plan::of(account, &pool::lock_states(conn).await?))
}

/// Shows the plan and finds out whether it is to be applied.
pub(super) fn is_wanted(plan: &Plan, yes: bool) -> io::Result<bool> {
    for line in shown(plan) {
        println!("{line}");
    }
    if plan.is_empty() {
        return Ok(false);
    }
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        println!("Nothing was changed. To apply this:  maskline numbers sync --yes");
        return Ok(false);
    }
    print!("Type yes to apply this: ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let is_wanted = answer.trim() == "yes";
    if !is_wanted {
        println!("Nothing was changed.");
    }
    Ok(is_wanted)
}

/// The plan, a line for each change and one for all.
fn shown(plan: &Plan) -> Vec<String> {
    let Plan { add, retire, unchanged, retires_all } = plan;
    if plan.is_empty() {
        return vec![format!("The pool agrees with the account: {unchanged} unchanged.")];
    }
    let added = add.iter().map(|number| format!("add     {}", number.as_str()));
    let retired = retire.iter().map(|number| format!("retire  {}  ({GONE})", number.as_str()));
    let mut lines: Vec<String> = added.chain(retired).collect();
    lines.push(format!("{} to add, {} to retire, {unchanged} unchanged.", add.len(), retire.len()));
    if *retires_all {
        lines.push(
            "WARNING: this retires every number in service. Are these the keys of the right account?"
                .into(),
        );
    }
    lines
}

/// Applies a plan, unless the pool has changed since it was shown.
pub(super) async fn apply(
    conn: &mut PgConnection,
    account: &BTreeSet<PhoneNumber>,
    shown: &Plan,
    by: &By,
) -> Done {
    let now = cli::now(conn).await?;
    let mut records = Vec::new();
    if plan(conn, account).await? != *shown {
        return Err("the pool was changed meanwhile: nothing was done, run this again".into());
    }
    for number in &shown.add {
        pool::add(conn, number, now).await?;
        records.push(record(by, "numbers_sync", number, "added"));
    }
    for number in &shown.retire {
        pool::set_state(conn, number, NumberState::Retiring, Some(GONE), now).await?;
        records.push(record(by, "numbers_sync", number, &format!("retired: {GONE}")));
    }
    audit::record(conn, &records, now).await?;
    Ok(())
}
