//! Where pictures come from: the carrier's hosts and no others, however a file's URL is written.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use tokio::sync::Semaphore;
use url::Url;

use super::Refusal;
use crate::config::{MediaHost, Settings};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);
/// How long fetching one file may take.
const WHOLE: Duration = Duration::from_secs(30);
/// The largest file that is fetched, in bytes: the carrier takes no larger ones from phones.
const LARGEST: usize = 15 * 1024 * 1024;
/// How many pictures are painted at once. It takes much memory.
const EASELS: usize = 1;

/// Fetches files from the carrier's hosts. It never has the account's keys.
#[derive(Debug, Clone)]
pub struct Sources {
    http: reqwest::Client,
    hosts: Vec<MediaHost>,
    /// Where the carrier's own API is.
    api: Url,
    pub(super) easels: Arc<Semaphore>,
}

/// Why a file was not fetched.
#[derive(Debug)]
pub(super) enum NotFetched {
    /// It never will be.
    Refused(Refusal),
    /// It may be tried again.
    Later(String),
}

impl Sources {
    /// Reads from the settings which hosts are the carrier's.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(settings: &Settings) -> reqwest::Result<Self> {
        Self::with_timeout(settings, WHOLE)
    }

    /// The same, with so much time for one file.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn with_timeout(settings: &Settings, whole: Duration) -> reqwest::Result<Self> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let api = settings.flowroute.url.clone();
        let near = api.host_str().unwrap_or_default().to_owned();
        let http = reqwest::Client::builder()
            .user_agent(concat!("maskline/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(whole)
            // Where a redirect leads nobody has checked.
            .redirect(Policy::none())
            .dns_resolver(Arc::new(Outward { near }))
            .build()?;
        let hosts = settings.media.hosts.clone();
        Ok(Self { http, hosts, api, easels: Arc::new(Semaphore::new(EASELS)) })
    }

    /// Fetches a file.
    pub(super) async fn fetch(&self, url: &str) -> Result<Vec<u8>, NotFetched> {
        let wrong = NotFetched::Refused(Refusal::WrongHost);
        let Ok(url) = Url::parse(url) else { return Err(wrong) };
        if !self.may_fetch(&url) {
            let (scheme, host) = (url.scheme(), url.host_str());
            tracing::warn!(
                scheme,
                host,
                "a picture lies at none of the hosts that MASKLINE_MEDIA_HOSTS names"
            );
            return Err(wrong);
        }
        let response = self.http.get(url).send().await.map_err(later)?;
        match response.status() {
            StatusCode::OK => read(response).await,
            status @ (StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS) => Err(NotFetched::Later(format!("status {status}"))),
            status if status.is_server_error() => {
                Err(NotFetched::Later(format!("status {status}")))
            }
            // Gone, forbidden since its signature has expired, or somewhere else.
            _ => Err(NotFetched::Refused(Refusal::NotThere)),
        }
    }

    /// Whether this is the carrier's: one of its hosts by https, or where its API is.
    fn may_fetch(&self, url: &Url) -> bool {
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_listed = self.hosts.iter().any(|host| host.has(url));
        is_plain && (is_listed || url.origin() == self.api.origin())
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, NotFetched> {
    let too_large = || NotFetched::Refused(Refusal::TooLarge);
    if response.content_length().is_some_and(|length| length > LARGEST as u64) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(later)? {
        if bytes.len() + chunk.len() > LARGEST {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What went wrong on the way. The URL is taken out: whoever has it can fetch the file.
fn later(error: reqwest::Error) -> NotFetched {
    let error = error.without_url();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |at| at.source());
    NotFetched::Later(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

/// Finds addresses out in the world only: a name that leads into our own network leads nowhere.
#[derive(Debug)]
struct Outward {
    /// The host that the operator named, which may be this computer.
    near: String,
}

impl Resolve for Outward {
    fn resolve(&self, name: Name) -> Resolving {
        let is_near = name.as_str() == self.near;
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let look = move || (name.as_str(), 0).to_socket_addrs();
            let found = tokio::task::spawn_blocking(look).await??;
            let outward: Vec<SocketAddr> =
                found.filter(|address| is_near || is_public(address.ip())).collect();
            if outward.is_empty() {
                return Err(io::Error::other("the name leads to no public address").into());
            }
            Ok(Box::new(outward.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is somewhere out in the world: not of this computer, of a private network, of
/// a cloud's own services, or reserved.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let is_reserved = a == 0
                || a >= 224
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19));
            !(is_reserved
                || v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation())
        }
        // Of the addresses in use only 2000::/3 is out in the world. Parts of it lead back in: 6to4
        // and Teredo hold an address of version 4, and the documentation's leads nowhere.
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            (0x2000..0x4000).contains(&a)
                && a != 0x2002
                && (a, b) != (0x2001, 0)
                && (a, b) != (0x2001, 0xdb8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(more: &[(&str, &str)]) -> Sources {
        let mut values = vec![
            ("DATABASE_URL", "postgres://maskline@localhost/maskline"),
            ("MASKLINE_PUBLIC_URL", "https://mask.example"),
            ("MASKLINE_WEBHOOK_SECRETS", "a-secret-of-the-tests"),
            ("MASKLINE_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
            ("FLOWROUTE_ACCESS_KEY", "key"),
            ("FLOWROUTE_SECRET_KEY", "key"),
        ];
        values.extend(more);
        Sources::new(&Settings::from_values(values).unwrap()).unwrap()
    }

    #[test]
    fn only_the_carriers_hosts_are_asked() {
        let ours = sources(&[]);
        let may = |sources: &Sources, url: &str| sources.may_fetch(&url.parse().unwrap());
        for url in [
            "https://mms-media-prod.s3.amazonaws.com/1490420351891410944-9E412262.jpg?Expires=1",
            "https://s3.us-west-2.amazonaws.com/flowroute-messaging-media/xxxxxxxxx",
            "https://api.flowroute.com/v2.2/media/1",
        ] {
            assert!(may(&ours, url), "{url}");
        }
        for url in [
            "http://mms-media-prod.s3.amazonaws.com/1.jpg",
            "https://mms-media-prod.s3.amazonaws.com:8443/1.jpg",
            "https://user@mms-media-prod.s3.amazonaws.com/1.jpg",
            "https://mms-media-prod.s3.amazonaws.com.evil.example/1.jpg",
            "https://evil-mms-media-prod.s3.amazonaws.com/1.jpg",
            "https://s3.us-west-2.amazonaws.com/another-bucket/1.jpg",
            "https://s3.us-west-2.amazonaws.com/flowroute-messaging-media-of-mine/1.jpg",
            "https://s3.us-west-2.amazonaws.com/flowroute-messaging-media/../another/1.jpg",
            "https://s3.us-west-2.amazonaws.com/flowroute-messaging-media/%2e%2e/another/1.jpg",
            "http://api.flowroute.com/v2.2/media/1",
            "https://127.0.0.1/1.jpg",
            "https://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
        ] {
            assert!(!may(&ours, url), "{url}");
        }
        let simulated = sources(&[("MASKLINE_FLOWROUTE_URL", "http://127.0.0.1:4000")]);
        assert!(may(&simulated, "http://127.0.0.1:4000/media/1"));
        assert!(!may(&simulated, "http://127.0.0.1:4001/media/1"));
        assert!(!may(&simulated, "http://localhost:4000/media/1"));
    }

    #[tokio::test]
    async fn a_listed_name_that_leads_into_our_own_network_leads_nowhere() {
        let sources = sources(&[("MASKLINE_MEDIA_HOSTS", "localhost")]);
        let fetched = sources.fetch("https://localhost/1.jpg").await;
        let Err(NotFetched::Later(why)) = fetched else { panic!("{fetched:?}") };
        assert!(why.contains("the name leads to no public address"), "{why}");
    }

    #[test]
    fn addresses_of_our_own_network_are_not_public() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001:0:1::",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["52.216.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2600:1f18::1"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }
}
