//! The settings: from the environment, from `NAME_FILE` for secrets, from a TOML file.
//!
//! Everything that is wrong is said at once, each by its name and never with its value: the
//! value may be a secret.

mod audit;
mod carrier;
mod media;
mod parse;
mod sources;
mod terms;

use std::{fmt, net::SocketAddr, path::Path};

use ipnet::IpNet;
use jiff::SignedDuration;
use secrecy::SecretString;
use url::Url;

use self::sources::Sources;
pub use self::{
    audit::AuditSettings,
    carrier::FlowrouteSettings,
    media::{MediaHost, MediaSettings},
    parse::WebhookSecrets,
    terms::{ConsoleTimes, LateInbound, NumberChoice, OnUnknown, PoolSettings, Times},
};
use crate::{texts::Brand, vault::MasterKeys};

/// Every setting, read and checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// PostgreSQL 15 or newer.
    pub database_url: SecretString,
    /// The public listener: the carrier's webhooks, and the pictures that it fetches.
    pub listen: SocketAddr,
    /// The private listener: health and metrics.
    pub admin_listen: SocketAddr,
    /// How Flowroute reaches the public listener.
    pub public_url: Url,
    /// The secrets in the webhook's path.
    pub webhook_secrets: WebhookSecrets,
    /// Networks that may call the webhook; empty means any.
    pub webhook_allow: Vec<IpNet>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Flowroute's API and the keys to it.
    pub flowroute: FlowrouteSettings,
    /// How many SMS the account may send in a second.
    pub sms_per_second: u32,
    /// How many texts that wait share one commit, at most.
    pub texts_per_commit: usize,
    /// How many MMS the account may send in a second.
    pub mms_per_second: u32,
    /// What is done with a text of which nobody knows whether the carrier has it.
    pub on_unknown: OnUnknown,
    /// What wraps the keys under which numbers and words are kept.
    pub master_keys: MasterKeys,
    /// Whether `serve` may run as a superuser or as the tables' owner.
    pub allow_superuser: bool,
    /// How Maskline's own texts introduce themselves.
    pub brand: Brand,
    /// How long things last.
    pub times: Times,
    /// How long staff may take.
    pub console: ConsoleTimes,
    /// How masked numbers are chosen.
    pub pool: PoolSettings,
    /// Where pictures come from, where they lie, and for how long.
    pub media: MediaSettings,
    /// After how many failed codes within an hour, from all people together, staff are called.
    pub code_failures_alarm: u32,
    /// Whether the carrier's list of messages is read.
    pub reconcile: bool,
    /// What becomes of words that only the list brought.
    pub late_inbound: LateInbound,
    /// Who signs what the audit trail is, and where that is kept.
    pub audit: AuditSettings,
}

/// All that is wrong with the settings, a line each.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    /// What is wrong, a sentence each.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl Settings {
    /// Reads every setting from the environment and, where one is given, from a TOML file.
    ///
    /// # Errors
    /// All that is missing, unknown or malformed, at once.
    pub fn read(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::from(Sources::collect(file))
    }

    /// Reads the settings from these values, as if they stood in the environment.
    ///
    /// # Errors
    /// All that is missing, unknown or malformed, at once.
    pub fn from_values<'a>(
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        Self::from(Sources::from_values(values))
    }

    fn from(mut from: Sources) -> Result<Self, ConfigError> {
        let database_url = from.required("DATABASE_URL", parse::database_url);
        let listen = from.or("MASKLINE_LISTEN", "127.0.0.1:8080", parse::address);
        let admin_listen = from.or("MASKLINE_ADMIN_LISTEN", "127.0.0.1:8081", parse::address);
        let public_url = from.required("MASKLINE_PUBLIC_URL", parse::public_url);
        let webhook_secrets = from.required("MASKLINE_WEBHOOK_SECRETS", parse::webhook_secrets);
        let webhook_allow = from.optional("MASKLINE_WEBHOOK_ALLOW", parse::networks);
        let trusted_proxies = from.optional("MASKLINE_TRUSTED_PROXIES", parse::networks);
        let flowroute = FlowrouteSettings::from(&mut from);
        let sms_per_second = from.or("MASKLINE_SMS_PER_SECOND", "5", parse::rate);
        let texts_per_commit = from.or("MASKLINE_TEXTS_PER_COMMIT", "64", parse::count);
        let mms_per_second = from.or("MASKLINE_MMS_PER_SECOND", "1", parse::rate);
        let on_unknown = from.or("MASKLINE_UNKNOWN", "park", parse::on_unknown);
        let master_keys = from.required("MASKLINE_MASTER_KEY", parse::master_keys);
        let allow_superuser = from.or("MASKLINE_ALLOW_SUPERUSER", "false", parse::truth);
        let brand = from.or("MASKLINE_BRAND", "Maskline", parse::brand);
        let times = Times::from(&mut from);
        let console = ConsoleTimes::from(&mut from);
        let pool = PoolSettings::from(&mut from);
        let media = MediaSettings::from(&mut from);
        let code_failures_alarm = from.or("MASKLINE_CODE_FAILURES_ALARM", "100", parse::count);
        let reconcile = from.or("MASKLINE_RECONCILE", "on", parse::on_or_off);
        let late_inbound = from.or("MASKLINE_LATE_INBOUND", "relay", parse::late_inbound);
        let audit = AuditSettings::from(&mut from, public_url.as_ref());
        let problems = from.problems();

        let settings = (|| {
            Some(Self {
                database_url: database_url?,
                listen: listen?,
                admin_listen: admin_listen?,
                public_url: public_url?,
                webhook_secrets: webhook_secrets?,
                webhook_allow: webhook_allow.unwrap_or_default(),
                trusted_proxies: trusted_proxies.unwrap_or_default(),
                flowroute: flowroute?,
                sms_per_second: sms_per_second?,
                texts_per_commit: texts_per_commit? as usize,
                mms_per_second: mms_per_second?,
                on_unknown: on_unknown?,
                master_keys: master_keys?,
                allow_superuser: allow_superuser?,
                brand: brand?,
                times: times?,
                console: console?,
                pool: pool?,
                media: media?,
                code_failures_alarm: code_failures_alarm?,
                reconcile: reconcile?,
                late_inbound: late_inbound?,
                audit,
            })
        })();
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => Err(ConfigError(problems)),
        }
    }
}

/// Reads the same, and who signs what the audit trail is.
///
/// # Errors
/// When one of these is missing or malformed, or anything that is set is no setting.
pub fn database_url_pen_and_audit(
    file: Option<&Path>,
) -> Result<(SecretString, (MasterKeys, AuditSettings)), ConfigError> {
    database_url_and(file, |from| {
        let keys = from.required("MASKLINE_MASTER_KEY", parse::master_keys);
        let audit = AuditSettings::read(from);
        Some((keys?, audit))
    })
}

/// Reads `DATABASE_URL` alone, for the commands that need nothing else.
///
/// # Errors
/// When it is missing or malformed, or anything that is set is no setting.
pub fn database_url(file: Option<&Path>) -> Result<SecretString, ConfigError> {
    database_url_and(file, |_| Some(())).map(|(url, ())| url)
}

/// Reads `DATABASE_URL` and how masked numbers are chosen.
///
/// # Errors
/// When one of these is missing or malformed, or anything that is set is no setting.
pub fn database_url_and_pool(
    file: Option<&Path>,
) -> Result<(SecretString, PoolSettings), ConfigError> {
    database_url_and(file, PoolSettings::from)
}

/// Reads `DATABASE_URL` and what leads to the carrier's account.
///
/// # Errors
/// When one of these is missing or malformed, or anything that is set is no setting.
pub fn database_url_and_flowroute(
    file: Option<&Path>,
) -> Result<(SecretString, FlowrouteSettings), ConfigError> {
    database_url_and(file, FlowrouteSettings::from)
}

/// Reads `DATABASE_URL` and who signs what the audit trail is.
///
/// # Errors
/// When one of these is missing or malformed, or anything that is set is no setting.
pub fn database_url_and_audit(
    file: Option<&Path>,
) -> Result<(SecretString, AuditSettings), ConfigError> {
    database_url_and(file, |from| Some(AuditSettings::read(from)))
}

/// Reads who signs what the audit trail is, and no database.
///
/// # Errors
/// When one of these is malformed, or anything that is set is no setting.
pub fn audit(file: Option<&Path>) -> Result<AuditSettings, ConfigError> {
    let mut from = Sources::collect(file);
    let audit = AuditSettings::read(&mut from);
    match from.problems() {
        problems if problems.is_empty() => Ok(audit),
        problems => Err(ConfigError(problems)),
    }
}

fn database_url_and<T>(
    file: Option<&Path>,
    more: impl FnOnce(&mut Sources) -> Option<T>,
) -> Result<(SecretString, T), ConfigError> {
    let mut from = Sources::collect(file);
    let url = from.required("DATABASE_URL", parse::database_url);
    let more = more(&mut from);
    let problems = from.problems();
    match (url, more) {
        (Some(url), Some(more)) if problems.is_empty() => Ok((url, more)),
        _ => Err(ConfigError(problems)),
    }
}

/// Reads after how long a silence a conversation ends, such as 72h or 7d.
///
/// # Errors
/// What it must be, in words that follow the setting's name.
pub fn silence(value: &str) -> Result<SignedDuration, String> {
    parse::span(2, 8784)(value)
}

/// Reads `DATABASE_URL`, `MASKLINE_MASTER_KEY` and `MASKLINE_BRAND`, for the commands that read or
/// write numbers and words.
///
/// # Errors
/// When one of these is missing or malformed, or anything that is set is no setting.
pub fn database_url_and_pen(
    file: Option<&Path>,
) -> Result<(SecretString, (MasterKeys, Brand)), ConfigError> {
    database_url_and(file, |from| {
        let keys = from.required("MASKLINE_MASTER_KEY", parse::master_keys);
        let brand = from.or("MASKLINE_BRAND", "Maskline", parse::brand);
        keys.zip(brand)
    })
}

/// Reads `DATABASE_URL` alone, whatever else is wrong; none when it cannot be used itself.
pub fn usable_database_url(file: Option<&Path>) -> Option<SecretString> {
    Sources::collect(file).required("DATABASE_URL", parse::database_url)
}
