//! The demo's staff: an account of the console for each role, and the phones that show their codes.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    app::App,
    cli::Failure,
    console::staff::{self, Name, Role, password, totp},
    ids::SessionId,
};

/// Who works here.
const STAFF: [(&str, Role); 4] = [
    ("Alex", Role::Auditor),
    ("Robin", Role::Approver),
    ("Jo", Role::Operator),
    ("Sam", Role::Admin),
];

/// The accounts, and where they sign in.
#[derive(Debug)]
pub(super) struct Accounts {
    url: String,
    accounts: Vec<Account>,
}

#[derive(Debug)]
struct Account {
    name: &'static str,
    role: Role,
    password: String,
    secret: totp::Secret,
}

/// What the page shows of it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    url: String,
    accounts: Vec<ShownAccount>,
}

#[derive(Debug, Serialize)]
struct ShownAccount {
    name: &'static str,
    role: Role,
    password: String,
    /// The code that a phone shows at this moment.
    code: String,
}

impl Accounts {
    /// Makes the accounts, or opens those of a kept database anew.
    pub(super) async fn open(app: &App, console: SocketAddr) -> Result<Self, Failure> {
        let mut accounts = Vec::new();
        let mut conn = app.db.acquire().await?;
        for (name, role) in STAFF {
            let now = app.clock.now();
            let opening = if let Some(id) = staff::find(&mut conn, name).await? {
                staff::reset(&mut conn, &app.pen.vault, id, now).await?
            } else {
                let name = Name::read(name)?;
                staff::add(&mut conn, &app.pen.vault, &name, role, now).await?
            };
            // Disabled by whoever kept the database.
            let Some(opening) = opening else { continue };
            // Nobody else has seen it, so it need not be changed first.
            let hash = password::hash(&opening.password).await?;
            staff::set_password(&mut conn, opening.id, &hash, SessionId::new(), now).await?;
            let (password, secret) = (opening.password, opening.secret);
            accounts.push(Account { name, role, password, secret });
        }
        // By the name for which browsers take cookies as on a secure connection.
        Ok(Self { url: format!("http://localhost:{}/", console.port()), accounts })
    }

    /// What to sign in with at this time.
    pub(super) fn shown(&self, now: Timestamp) -> Shown {
        let shown = |account: &Account| ShownAccount {
            name: account.name,
            role: account.role,
            password: account.password.clone(),
            code: account.secret.code(totp::step_at(now)),
        };
        Shown { url: self.url.clone(), accounts: self.accounts.iter().map(shown).collect() }
    }
}
