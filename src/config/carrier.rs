//! The settings that lead to the carrier.

use secrecy::SecretString;
use url::Url;

use super::{parse, sources::Sources};

/// Flowroute's API and the keys to it.
#[derive(Debug, Clone)]
pub struct FlowrouteSettings {
    /// The base of the API; the version path is added.
    pub url: Url,
    /// The access key, the user name of HTTP Basic.
    pub access_key: SecretString,
    /// The secret key, the password of HTTP Basic.
    pub secret_key: SecretString,
}

impl FlowrouteSettings {
    pub(super) fn from(from: &mut Sources) -> Option<Self> {
        let access_key = from.required("FLOWROUTE_ACCESS_KEY", parse::secret);
        let secret_key = from.required("FLOWROUTE_SECRET_KEY", parse::secret);
        let url =
            from.or("MASKLINE_FLOWROUTE_URL", "https://api.flowroute.com", parse::carrier_url);
        Some(Self { url: url?, access_key: access_key?, secret_key: secret_key? })
    }
}
