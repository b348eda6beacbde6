//! What each setting may be. An error completes the sentence that begins with the name.

use std::{net::SocketAddr, str::FromStr};

use ipnet::IpNet;
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use url::{Host, Url};

use super::{LateInbound, MediaHost, NumberChoice, OnUnknown};
use crate::{database::Servers, texts::Brand, vault::MasterKeys};

/// One or two secrets, any of which opens the webhook; the first is given to the carrier.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(Vec<SecretString>);

impl WebhookSecrets {
    /// Whether this is one of the secrets, in a time that tells nothing about them.
    ///
    /// Digests are compared, so that not even the length shows.
    pub fn admit(&self, candidate: &str) -> bool {
        let candidate = Sha256::digest(candidate);
        let matches = self
            .0
            .iter()
            .map(|secret| Sha256::digest(secret.expose_secret()).ct_eq(&candidate))
            .fold(Choice::from(0), |any, one| any | one);
        matches.into()
    }

    /// The secret that stands in the URLs given to the carrier.
    pub fn current(&self) -> &str {
        self.0.first().map_or("", |secret| secret.expose_secret())
    }
}

pub(super) fn database_url(value: &str) -> Result<SecretString, String> {
    Servers::from_str(value)?;
    Ok(value.to_owned().into())
}

pub(super) fn address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| "must be an address and a port, such as 127.0.0.1:8080".into())
}

fn http_url(value: &str) -> Result<Url, String> {
    let url =
        Url::parse(value).map_err(|_| "is no URL, such as https://mask.example".to_owned())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !plain {
        return Err("must be an http or https URL without user, query or fragment".into());
    }
    Ok(url)
}

pub(super) fn public_url(value: &str) -> Result<Url, String> {
    http_url(value)
}

/// The account's keys travel in every request, so the wire must be sealed or never leave the
/// computer.
pub(super) fn carrier_url(value: &str) -> Result<Url, String> {
    let url = http_url(value)?;
    let local = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || local {
        Ok(url)
    } else {
        Err("must be https: the account's keys go over it".into())
    }
}

/// A secret stands in a path, so only characters that need no escape there are taken.
pub(super) fn webhook_secrets(value: &str) -> Result<WebhookSecrets, String> {
    let secrets: Vec<&str> = value.split(',').map(str::trim).collect();
    if secrets.len() > 2 {
        return Err("may hold two secrets at most".into());
    }
    if secrets.iter().any(|secret| secret.len() < 16) {
        return Err(
            "has a secret shorter than 16 characters; make one with: openssl rand -hex 32".into()
        );
    }
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !secrets.iter().all(|secret| secret.bytes().all(safe)) {
        return Err(
            "may hold only letters, digits, - . _ ~ (and a comma between two secrets)".into()
        );
    }
    if secrets.len() == 2 && secrets[0] == secrets[1] {
        return Err("holds the same secret twice".into());
    }
    Ok(WebhookSecrets(secrets.into_iter().map(|secret| secret.to_owned().into()).collect()))
}

pub(super) fn networks(value: &str) -> Result<Vec<IpNet>, String> {
    let network = |text: &str| {
        text.parse::<IpNet>()
            .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()))
    };
    let networks: Result<Vec<IpNet>, _> =
        value.split(',').map(|text| network(text.trim())).collect();
    networks.map_err(|_| {
        "must be networks or addresses with commas between, such as 192.0.2.0/24,2001:db8::1".into()
    })
}

#[expect(clippy::unnecessary_wraps, reason = "every reader of a setting has this shape")]
pub(super) fn secret(value: &str) -> Result<SecretString, String> {
    Ok(value.to_owned().into())
}

pub(super) fn rate(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(rate @ 1..=100_000) => Ok(rate),
        _ => Err("must be a whole number from 1 to 100000".into()),
    }
}

pub(super) fn count(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err("must be a whole number from 1 to 1000000".into()),
    }
}

/// A time span from `least` to `most` hours, such as 24h or 7d. Whole hours: people are told them.
pub(super) fn span(least: i64, most: i64) -> impl Fn(&str) -> Result<SignedDuration, String> {
    move |value| {
        let hours = |count: i64| match value.as_bytes().last() {
            Some(b'h') => Some(count),
            Some(b'd') => count.checked_mul(24),
            _ => None,
        };
        let count = value.get(..value.len().saturating_sub(1)).and_then(|count| count.parse().ok());
        count
            .and_then(hours)
            .filter(|hours| (least..=most).contains(hours))
            .map(SignedDuration::from_hours)
            .ok_or_else(|| {
                format!("must be a time span from {least}h to {most}h, such as 24h or 7d")
            })
    }
}

pub(super) fn media_hosts(value: &str) -> Result<Vec<MediaHost>, String> {
    let hosts: Option<Vec<MediaHost>> =
        value.split(',').map(|host| MediaHost::read(host.trim())).collect();
    hosts.ok_or_else(|| {
        "must be names of hosts with commas between, such as media.example,s3.example/bucket".into()
    })
}

/// Whole days. What is younger than a day may still be fetched by the carrier.
pub(super) fn days(value: &str) -> Result<SignedDuration, String> {
    match value.parse() {
        Ok(days @ 2..=3660) => Ok(SignedDuration::from_hours(24 * days)),
        _ => Err("must be a whole number of days from 2 to 3660".into()),
    }
}

pub(super) fn number_choice(value: &str) -> Result<NumberChoice, String> {
    match value {
        "sticky" => Ok(NumberChoice::Sticky),
        "fresh" => Ok(NumberChoice::Fresh),
        _ => Err("must be sticky or fresh".into()),
    }
}

pub(super) fn on_unknown(value: &str) -> Result<OnUnknown, String> {
    match value {
        "park" => Ok(OnUnknown::Park),
        "resend" => Ok(OnUnknown::Resend),
        _ => Err("must be park or resend".into()),
    }
}

pub(super) fn late_inbound(value: &str) -> Result<LateInbound, String> {
    match value {
        "relay" => Ok(LateInbound::Relay),
        "record" => Ok(LateInbound::Record),
        _ => Err("must be relay or record".into()),
    }
}

pub(super) fn on_or_off(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".into()),
    }
}

pub(super) fn master_keys(value: &str) -> Result<MasterKeys, String> {
    value.parse()
}

pub(super) fn truth(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| "must be true or false".into())
}

pub(super) fn brand(value: &str) -> Result<Brand, String> {
    value.parse().map_err(|error| format!("{error}"))
}
