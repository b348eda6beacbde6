//! Who may knock: the secret in the path, and the network that the call comes from.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::app::App;

/// Whether this caller brings a secret of ours from a network that may call.
///
/// Either way the answer takes the same path, so a stranger learns nothing from it.
pub(super) fn admits(app: &App, peer: SocketAddr, headers: &HeaderMap, secret: &str) -> bool {
    let settings = &app.settings;
    let known = settings.webhook_secrets.admit(secret);
    let caller = caller(peer.ip(), headers, &settings.trusted_proxies);
    let near = settings.webhook_allow.is_empty() || is_in(caller, &settings.webhook_allow);
    if known && !near {
        tracing::warn!(%caller, "a webhook came with the right secret from a network that MASKLINE_WEBHOOK_ALLOW does not hold");
    }
    known && near
}

/// The address of the caller: the last one in `X-Forwarded-For` that no proxy of ours wrote,
/// believed only as far as trusted proxies vouch for it.
pub(crate) fn caller(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let forwarded =
        headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut caller = peer.to_canonical();
    for hop in hops.into_iter().rev() {
        if !is_in(caller, trusted) {
            break;
        }
        let Ok(address) = hop.parse::<IpAddr>() else { break };
        caller = address.to_canonical();
    }
    caller
}

fn is_in(address: IpAddr, networks: &[IpNet]) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
        caller(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(seen("192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
        assert_eq!(seen("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("::ffff:127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["203.0.113.5, 198.51.100.1, 10.1.2.3"]), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["203.0.113.5", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["203.0.113.5, nonsense"]), "127.0.0.1");
        assert_eq!(seen("127.0.0.1", &[]), "127.0.0.1");
    }
}
