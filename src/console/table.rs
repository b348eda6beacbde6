//! The one table of routes: what each does and who may use it. All that is not in it does not exist.

use axum::routing::{MethodRouter, any, get, post};

use super::{
    access, account, assets, conversation, exports, holds, home, integrity, numbers, page, people,
    retention, reveal, search, sign_in,
    staff::Role::{self, Admin, Approver, Auditor, Operator},
    subject, tasks,
};
use crate::app::App;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// Whoever reaches the private listener.
    Anybody,
    /// Whoever is signed in, even with the password that their account was made with.
    Newcomer,
    /// Whoever is signed in with one of these roles.
    Only(&'static [Role]),
}

impl May {
    /// Whether somebody with this role may.
    pub fn admits(self, role: Role) -> bool {
        match self {
            Self::Anybody | Self::Newcomer => true,
            Self::Only(roles) => roles.contains(&role),
        }
    }
}

/// A route of the console.
pub(super) struct Route {
    method: &'static str,
    pub(super) path: &'static str,
    pub(super) may: May,
    /// What it does, for the handbook.
    does: &'static str,
    /// Under which word it stands in the navigation.
    menu: Option<&'static str>,
    pub(super) handler: MethodRouter<App>,
}

const EVERYBODY: May = May::Only(&[Operator, Auditor, Approver, Admin]);

/// Every route, in the order of the navigation.
pub(super) fn table() -> Vec<Route> {
    let mut table = vec![
        see("/", EVERYBODY, "what waits for you", get(home::page)).under("Overview"),
        see("/console.css", May::Anybody, "how pages look", get(assets::style)),
        see("/console.js", May::Anybody, "what keeps pages up to date", get(assets::script)),
        see("/sign-in", May::Anybody, "the page for signing in", get(sign_in::page)),
        act("/sign-in", May::Anybody, "sign in", post(sign_in::sign_in)),
        act("/sign-out", May::Newcomer, "sign out", post(sign_in::sign_out)),
    ];
    table.extend(of_the_trail());
    table.extend(of_retention());
    table.extend(of_exports());
    table.extend(of_proof());
    table.extend(of_operations());
    table.extend(of_accounts());
    // Deny what nobody allowed: it is not there.
    table.push(see("/{*path}", May::Anybody, "not found", any(page::not_found)));
    table
}

/// Reading the trail, and keeping it.
fn of_the_trail() -> Vec<Route> {
    const READ: May = May::Only(&[Auditor]);
    const APPROVE: May = May::Only(&[Approver]);
    const HOLD: May = May::Only(&[Auditor, Approver]);
    const LOOK: May = May::Only(&[Operator, Auditor, Approver]);
    const CLOSE: May = May::Only(&[Operator, Auditor]);
    vec![
        see("/search", READ, "find conversations", get(search::page)).under("Search"),
        act("/search", READ, "find conversations", post(search::ask)),
        act("/search/saved", READ, "save a search", post(search::saved::save)),
        see("/search/saved/{id}", READ, "open a search that you saved", get(search::saved::open)),
        act(
            "/search/saved/{id}/remove",
            READ,
            "remove a search that you saved",
            post(search::saved::remove),
        ),
        see("/conversations/{id}", READ, "read a conversation", get(conversation::page)),
        see("/tasks", LOOK, "what somebody must look at", get(tasks::page)).under("Tasks"),
        act("/tasks/{id}/close", CLOSE, "close a task", post(tasks::close)),
        see("/holds", HOLD, "legal holds", get(holds::page)).under("Legal holds"),
        act("/holds", HOLD, "place a hold", post(holds::place)),
        act("/holds/{id}/release", HOLD, "ask for the release of a hold", post(holds::ask)),
        act(
            "/holds/{id}/approve",
            APPROVE,
            "approve a release that somebody else has asked for",
            post(holds::approve),
        ),
        see("/reveals", HOLD, "real numbers that were asked for", get(reveal::page))
            .under("Reveals"),
        act(
            "/reveals",
            READ,
            "ask for a real number, or open it without approval",
            post(reveal::ask),
        ),
        see("/reveals/{id}", READ, "see numbers that you asked for", get(reveal::show)),
        act(
            "/reveals/{id}/grant",
            APPROVE,
            "grant what somebody else has asked for",
            post(reveal::grant),
        ),
        act("/reveals/{id}/refuse", APPROVE, "refuse it", post(reveal::refuse)),
        act(
            "/reveals/{id}/review",
            APPROVE,
            "review an opening without approval",
            post(reveal::review),
        ),
        see("/subjects", HOLD, "what people ask for", get(subject::page))
            .under("People’s requests"),
        act("/subjects", READ, "look a person up", post(subject::find)),
        see("/subjects/{id}", HOLD, "see how much there is of a person", get(subject::show)),
        act(
            "/subjects/{id}/ask",
            READ,
            "ask for a copy of a person’s data, or their erasure",
            post(subject::ask),
        ),
        act(
            "/subject-requests/{id}/grant",
            APPROVE,
            "grant what somebody else has asked for, and erase",
            post(subject::grant),
        ),
        act("/subject-requests/{id}/refuse", APPROVE, "refuse it", post(subject::refuse)),
        see(
            "/subject-requests/{id}/export.jsonl",
            READ,
            "save a copy that you asked for",
            get(subject::save),
        ),
    ]
}

/// Removing what is old.
fn of_retention() -> Vec<Route> {
    const WATCH: May = May::Only(&[Auditor, Approver, Admin]);
    const ASK: May = May::Only(&[Auditor]);
    const APPROVE: May = May::Only(&[Approver]);
    vec![
        see(
            "/retention",
            WATCH,
            "which months are old enough to be removed, and which were",
            get(retention::page),
        )
        .under("Retention"),
        act("/retention", ASK, "ask for the removal of months", post(retention::ask)),
        act(
            "/retention/{id}/grant",
            APPROVE,
            "grant a removal that somebody else has asked for",
            post(retention::grant),
        ),
        act("/retention/{id}/refuse", APPROVE, "refuse it", post(retention::refuse)),
    ]
}

/// What is found, as files.
fn of_exports() -> Vec<Route> {
    const ASK: May = May::Only(&[Auditor]);
    const APPROVE: May = May::Only(&[Approver]);
    const SEE: May = May::Only(&[Auditor, Approver]);
    vec![
        see("/exports", SEE, "exports, and how far they are", get(exports::page)).under("Exports"),
        see("/exports/new", ASK, "the form for an export", get(exports::form)),
        act("/exports", ASK, "ask for an export", post(exports::ask)),
        see("/exports/{id}", SEE, "an export", get(exports::show)),
        act(
            "/exports/{id}/grant",
            APPROVE,
            "grant an export that somebody else has asked for",
            post(exports::grant),
        ),
        act("/exports/{id}/refuse", APPROVE, "refuse it", post(exports::refuse)),
        act("/exports/{id}/file", ASK, "download what you asked for", post(exports::download)),
    ]
}

/// What proves the trail, and who looked at it.
fn of_proof() -> Vec<Route> {
    const WATCH: May = May::Only(&[Auditor, Approver, Admin]);
    vec![
        see("/integrity", EVERYBODY, "how the trail is sealed and signed", get(integrity::page))
            .under("Integrity"),
        act("/integrity/verify", WATCH, "verify the whole trail", post(integrity::verify)),
        see(
            "/integrity/checkpoint.txt",
            EVERYBODY,
            "save the newest checkpoint",
            get(integrity::newest),
        ),
        see("/access", WATCH, "what staff did and looked at", get(access::page))
            .under("Access log"),
    ]
}

/// Running all this.
fn of_operations() -> Vec<Route> {
    const POOL: May = May::Only(&[Operator, Admin]);
    const STAFF: May = May::Only(&[Admin]);
    vec![
        see("/numbers", POOL, "the masked numbers, and how well they are", get(numbers::page))
            .under("Numbers"),
        see("/staff", STAFF, "the accounts of staff", get(people::page)).under("Staff"),
        act("/staff", STAFF, "make an account", post(people::add)),
        act(
            "/staff/{id}/reset",
            STAFF,
            "give somebody a new password and code",
            post(people::reset),
        ),
        act("/staff/{id}/disable", STAFF, "disable an account", post(people::disable)),
    ]
}

/// One's own account.
fn of_accounts() -> Vec<Route> {
    vec![
        see("/password", May::Newcomer, "choose a password", get(account::password_page)),
        act("/password", May::Newcomer, "choose a password", post(account::change_password)),
        see("/sessions", EVERYBODY, "where you are signed in", get(account::sessions_page)),
        act("/sessions/{id}/end", EVERYBODY, "sign one of your browsers out", post(account::end)),
    ]
}

fn see(path: &'static str, may: May, does: &'static str, handler: MethodRouter<App>) -> Route {
    Route { method: "GET", path, may, does, menu: None, handler }
}

fn act(path: &'static str, may: May, does: &'static str, handler: MethodRouter<App>) -> Route {
    Route { method: "POST", ..see(path, may, does, handler) }
}

impl Route {
    fn under(self, word: &'static str) -> Self {
        Self { menu: Some(word), ..self }
    }
}

/// A route as the handbook lists it.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// The method.
    pub method: &'static str,
    /// The path, ids in braces.
    pub path: &'static str,
    /// Who may.
    pub may: May,
    /// What it does.
    pub does: &'static str,
    /// Under which word it stands in the navigation.
    pub menu: Option<&'static str>,
}

/// Lists every route.
pub fn listed() -> Vec<Listed> {
    let listed = |route: &Route| Listed {
        method: route.method,
        path: route.path,
        may: route.may,
        does: route.does,
        menu: route.menu,
    };
    table().iter().map(listed).collect()
}
