//! Who asks for a page: an account, its role, and the address that it is used from.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{Extensions, HeaderMap, StatusCode, request::Parts},
};

use super::staff::{Role, session::Session};
use crate::{
    app::App,
    audit::{Kind, Record, holds},
    ids::{SessionId, StaffId},
    inbound,
};

/// Who asks for a page. There is one for every request that the gate let through.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    session: Session,
    address: String,
}

impl Visitor {
    pub(super) fn new(session: Session, address: String) -> Self {
        Self { session, address }
    }

    pub(super) fn id(&self) -> StaffId {
        self.session.staff
    }

    pub(super) fn session(&self) -> SessionId {
        self.session.id
    }

    pub(super) fn name(&self) -> &str {
        &self.session.name
    }

    pub(super) fn role(&self) -> Role {
        self.session.role
    }

    /// The same, to holds, which are released on the command line, too.
    pub(super) fn by(&self) -> holds::By<'_> {
        holds::By { name: self.name(), account: Some(self.id()) }
    }

    pub(super) fn must_change(&self) -> bool {
        self.session.must_change
    }

    /// The record of what they did or looked at: the rule names it, `what` says what came of it.
    pub(super) fn record(&self, rule: &'static str, what: &str) -> Record {
        record(rule, (self.name(), self.role()), &self.address, what)
    }
}

/// The record of what somebody did in the console.
pub(super) fn record(rule: &'static str, who: (&str, Role), address: &str, what: &str) -> Record {
    Record {
        rule: Some(rule),
        detail: Some(format!("by {}, {}, from {address}: {what}", who.0, who.1)),
        ..Record::of(Kind::Staff)
    }
}

/// The record of what came of something without anybody's doing.
pub(super) fn own(rule: &'static str, what: &str) -> Record {
    Record {
        rule: Some(rule),
        detail: Some(format!("by Maskline: {what}")),
        ..Record::of(Kind::Staff)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        // Without the gate nobody is anybody.
        parts.extensions.get().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// From where a request came, as far as our own proxies vouch for it.
pub(super) struct Caller(pub(super) String);

impl FromRequestParts<App> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(caller(app, &parts.extensions, &parts.headers)))
    }
}

/// The same, of a request's parts.
pub(super) fn caller(app: &App, extensions: &Extensions, headers: &HeaderMap) -> String {
    let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() else {
        return "an unknown address".to_owned();
    };
    inbound::caller(peer.ip(), headers, &app.settings.trusted_proxies).to_string()
}
