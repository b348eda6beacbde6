//! The settings of the audit trail's seal.

use std::sync::Arc;

use url::Url;

use super::{parse, sources::Sources};
use crate::audit::{
    note::{self, Signer},
    publish::Target,
};

/// Who signs what the trail is, and where that is kept.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// The key that signs checkpoints; without one none are made.
    pub signer: Option<Arc<Signer>>,
    /// Places outside the database that are given each checkpoint.
    pub targets: Vec<Target>,
    /// For how many whole months records are kept; for ever unless set.
    pub keep_months: Option<u32>,
}

impl AuditSettings {
    /// Reads them for a command that needs nothing else.
    pub(super) fn read(from: &mut Sources) -> Self {
        let public_url = from.optional("MASKLINE_PUBLIC_URL", parse::public_url);
        Self::from(from, public_url.as_ref())
    }

    /// Reads them; the log is named after the public URL's host unless something else is set.
    pub(super) fn from(from: &mut Sources, public_url: Option<&Url>) -> Self {
        let set = from.optional("MASKLINE_AUDIT_ORIGIN", origin);
        let host = public_url.and_then(Url::host_str).map(str::to_owned);
        let name = set.clone().or(host).unwrap_or_default();
        let signer = from.optional("MASKLINE_AUDIT_KEY", |key| {
            let signer = Signer::read(key, &name);
            match signer {
                Some(signer) if set.as_ref().is_some_and(|set| set != signer.name()) => {
                    Err("is a key for another name than MASKLINE_AUDIT_ORIGIN says".into())
                }
                Some(signer) => Ok(signer),
                None if name.is_empty() && Signer::read(key, "any").is_some() => {
                    Err("needs a name to sign with: set MASKLINE_AUDIT_ORIGIN, too".into())
                }
                None => {
                    Err("must be an Ed25519 private key; make one with: maskline audit key".into())
                }
            }
        });
        let targets = from.optional("MASKLINE_AUDIT_CHECKPOINTS", targets).unwrap_or_default();
        let keep_months = from.optional("MASKLINE_AUDIT_KEEP_MONTHS", months);
        Self { signer: signer.map(Arc::new), targets, keep_months }
    }
}

fn origin(value: &str) -> Result<String, String> {
    if note::is_name(value) {
        Ok(value.to_owned())
    } else {
        Err("must be a name without spaces and plus signs, such as mask.example".into())
    }
}

fn months(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(months @ 1..=1200) => Ok(months),
        _ => Err("must be a whole number of months from 1 to 1200".into()),
    }
}

fn targets(value: &str) -> Result<Vec<Target>, String> {
    let targets = value.split(',').map(|target| Target::read(target.trim()));
    targets
        .collect::<Option<_>>()
        .ok_or_else(|| "must be folders or http(s) URLs without a user, with commas between".into())
}
