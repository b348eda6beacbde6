//! What is wrong with a storage, in words that say what to do and quote nothing.

use std::{error::Error as StdError, fmt, io};

use object_store::{
    Error,
    client::{HttpError, HttpErrorKind},
};

/// Where a machine's role is asked for keys when none are set.
const ROLE: &str = "169.254.169.254";

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    NoKeys,
    UnknownKey,
    WrongKey,
    Clock,
    MayNot,
    NoBucket,
    Region,
    Unreachable,
    Slow,
    Status(u16),
    Forgetful,
    /// A folder, and what the system says of it.
    Folder(io::ErrorKind),
    Other,
}

impl Trouble {
    pub(super) fn of(error: &Error) -> Self {
        if let Some(system) = find::<io::Error>(error).filter(|_| is_of_folder(error)) {
            return Self::Folder(system.kind());
        }
        let said = error.to_string();
        let code = code(&said);
        match code {
            Some("InvalidAccessKeyId") => return Self::UnknownKey,
            Some("SignatureDoesNotMatch") => return Self::WrongKey,
            Some("RequestTimeTooSkewed") => return Self::Clock,
            Some("NoSuchBucket") => return Self::NoBucket,
            Some("AccessDenied") => return Self::MayNot,
            Some("AuthorizationHeaderMalformed" | "PermanentRedirect") => return Self::Region,
            _ => {}
        }
        if said.contains(ROLE) {
            return Self::NoKeys;
        }
        match (error, find::<HttpError>(error).map(HttpError::kind), status(&said)) {
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, ..) => Self::MayNot,
            (_, Some(HttpErrorKind::Connect), _) => Self::Unreachable,
            (_, Some(HttpErrorKind::Timeout), _) => Self::Slow,
            (.., Some(status)) => Self::Status(status),
            _ if said.contains("without LOCATION") => Self::Region,
            (_, Some(_), _) => Self::Unreachable,
            _ => Self::Other,
        }
    }

    /// Its name in the metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NoKeys | Self::UnknownKey | Self::WrongKey | Self::Clock | Self::MayNot => "keys",
            Self::NoBucket | Self::Region => "bucket",
            Self::Unreachable => "unreachable",
            Self::Slow => "slow",
            Self::Status(_) => "status",
            Self::Folder(_) => "folder",
            Self::Forgetful | Self::Other => "other",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKeys => {
                "there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this \
                 machine a role"
            }
            Self::UnknownKey => "it does not know the key that AWS_ACCESS_KEY_ID names",
            Self::WrongKey => {
                "it refuses the signature: AWS_SECRET_ACCESS_KEY does not belong to \
                 AWS_ACCESS_KEY_ID, or AWS_REGION is wrong"
            }
            Self::Clock => "this computer's clock is wrong",
            Self::MayNot => {
                "the keys may not do this: they must be allowed to read, write and delete objects"
            }
            Self::NoBucket => "there is no such bucket: make it, or mend MASKLINE_MEDIA_URL",
            Self::Region => "the bucket is elsewhere: AWS_REGION or AWS_ENDPOINT is wrong",
            Self::Unreachable => {
                "nothing answers at its address: does it run, and is AWS_ENDPOINT right \
                 (AWS_ALLOW_HTTP=true where it has no TLS)?"
            }
            Self::Slow => "it does not answer in time",
            Self::Status(status) => {
                return write!(f, "it answers with status {status}: look at its own log");
            }
            Self::Forgetful => "what was kept in it is not there",
            Self::Folder(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                "the user that Maskline runs as may not write there"
            }
            Self::Folder(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                "the disk is full"
            }
            Self::Folder(io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) => {
                "it is no folder"
            }
            Self::Folder(kind) => return kind.fmt(f),
            Self::Other => "it answers in a way that is not understood",
        })
    }
}

/// Whether this says no more than that nothing lies there. Where the whole bucket is missing,
/// something may lie there once it is back.
pub(super) fn is_nothing_there(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && code(&error.to_string()) != Some("NoSuchBucket")
}

fn is_of_folder(error: &Error) -> bool {
    find::<HttpError>(error).is_none() && status(&error.to_string()).is_none()
}

/// The first cause of this type.
fn find<T: StdError + 'static>(error: &Error) -> Option<&T> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(at) = cause {
        if let Some(found) = at.downcast_ref() {
            return Some(found);
        }
        cause = at.source();
    }
    None
}

/// The code in S3's XML, or as the client shows it of a removal.
fn code(said: &str) -> Option<&str> {
    let between = |from, to| Some(said.split_once(from)?.1.split_once(to)?.0);
    between("<Code>", "</Code>").or_else(|| between("(code: ", ")"))
}

fn status(said: &str) -> Option<u16> {
    said.split_once("status code: ")?.1.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(source: impl Into<Box<dyn StdError + Send + Sync>>) -> String {
        Trouble::of(&Error::Generic { store: "S3", source: source.into() }).to_string()
    }

    #[test]
    fn what_a_folder_and_its_disk_say_is_known() {
        for (kind, words) in [
            (io::ErrorKind::StorageFull, "the disk is full"),
            (io::ErrorKind::ReadOnlyFilesystem, "may not write there"),
            (io::ErrorKind::PermissionDenied, "may not write there"),
            (io::ErrorKind::NotADirectory, "it is no folder"),
            (io::ErrorKind::TimedOut, "timed out"),
        ] {
            assert!(said(io::Error::from(kind)).contains(words), "{kind:?}");
        }
    }

    #[test]
    fn what_a_bucket_says_is_known_and_never_quoted() {
        for (answer, words) in [
            ("status code: 403 Forbidden: <Code>RequestTimeTooSkewed</Code>", "clock is wrong"),
            ("status code: 400 Bad: <Code>AuthorizationHeaderMalformed</Code>", "AWS_REGION"),
            ("status code: 507 Insufficient Storage: hunter2", "with status 507:"),
            ("Error performing PUT http://169.254.169.254/latest/api/token", "there are no keys"),
            ("redirect without LOCATION", "AWS_REGION"),
            ("hunter2", "not understood"),
        ] {
            let said = said(answer);
            assert!(said.contains(words) && !said.contains("hunter2"), "{said}");
        }
    }
}
