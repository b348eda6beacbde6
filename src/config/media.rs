//! The settings of pictures.

use jiff::SignedDuration;
use url::Url;

use super::{parse, sources::Sources};
use crate::storage::Storage;

/// Where pictures come from, where they lie, and for how long.
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// Where they lie.
    pub storage: Storage,
    /// Where the carrier keeps them.
    pub hosts: Vec<MediaHost>,
    /// How long they lie there.
    pub keep: SignedDuration,
}

/// A host of the carrier's, or a folder on one that others use too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaHost {
    name: String,
    /// With a slash at both ends.
    folder: String,
}

impl MediaHost {
    /// Reads a name, or a name and a folder: `s3.us-west-2.amazonaws.com/bucket`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let url = Url::parse(&format!("https://{text}/")).ok()?;
        let name = url.domain()?.to_owned();
        let is_plain = url.port().is_none()
            && url.username().is_empty()
            && url.query().is_none()
            && url.fragment().is_none()
            && !url.path().contains("//");
        is_plain.then(|| Self { name, folder: url.path().to_owned() })
    }

    /// Whether this lies there, and nobody on the way can change it.
    pub fn has(&self, url: &Url) -> bool {
        url.scheme() == "https"
            && url.port().is_none()
            && url.domain() == Some(&self.name)
            && url.path().starts_with(&self.folder)
    }
}

impl MediaSettings {
    pub(super) fn from(from: &mut Sources) -> Option<Self> {
        let storage = from.or("MASKLINE_MEDIA_URL", "maskline-media", Storage::open);
        // As seen in what the carrier sends.
        let hosts = "mms-media-prod.s3.amazonaws.com,\
                     s3.us-west-2.amazonaws.com/flowroute-messaging-media";
        let hosts = from.or("MASKLINE_MEDIA_HOSTS", hosts, parse::media_hosts);
        let keep = from.or("MASKLINE_MEDIA_DAYS", "30", parse::days);
        Some(Self { storage: storage?, hosts: hosts?, keep: keep? })
    }
}
