//! Where pictures lie: a folder, or a bucket that speaks S3. Their names there tell nothing.

mod trouble;

use std::{
    fmt,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{self, PathBuf},
    sync::Arc,
    time::Duration,
};

use object_store::{
    Error, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path,
};
use url::Url;

use self::trouble::Trouble;

/// How long one request to a bucket may take, unless `AWS_TIMEOUT` says otherwise.
const CALL: (&str, &str) = ("AWS_TIMEOUT", "15s");
/// How long a bucket is asked again; whoever asks comes again as well.
const AGAIN: Duration = Duration::from_secs(20);

/// Where pictures lie. Clones share it. `Debug` shows no keys.
#[derive(Clone)]
pub struct Storage(Place);

#[derive(Clone)]
enum Place {
    Folder(PathBuf),
    Bucket { store: Arc<dyn ObjectStore>, prefix: Path, url: Url },
}

/// Why something could not be kept or read, and what to do. What the storage itself says is left
/// out: it quotes keys and signatures.
#[derive(Debug, thiserror::Error)]
#[error("the storage of pictures, {place}, does not work: {trouble}")]
pub struct StorageError {
    place: String,
    trouble: Trouble,
}

impl Storage {
    /// Takes a folder, which is made when something is first kept in it, or an URL such as
    /// `s3://bucket/folder`, whose keys are those of the environment: `AWS_ACCESS_KEY_ID` and so on.
    ///
    /// # Errors
    /// What it must be, in words that follow the setting's name.
    pub fn open(place: &str) -> Result<Self, String> {
        let environment = std::env::vars_os();
        Self::open_with(
            place,
            environment.filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            }),
        )
    }

    /// The same, where a bucket's settings are these and not those of the environment.
    ///
    /// # Errors
    /// As above.
    pub fn open_with(
        place: &str,
        aws: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        let url = place.contains("://").then(|| Url::parse(place));
        match url {
            None => path::absolute(place)
                .map(|folder| Self(Place::Folder(folder)))
                .map_err(|_| "is no folder".to_owned()),
            Some(Ok(url)) if url.scheme() == "file" => url
                .to_file_path()
                .map(|folder| Self(Place::Folder(folder)))
                .map_err(|()| "must name a folder of this computer, as file:///folder does".into()),
            Some(Ok(url)) if url.scheme() == "s3" => Self::bucket(url, aws),
            _ => Err("must be a folder, or a bucket such as s3://bucket/folder".into()),
        }
    }

    fn bucket(url: Url, aws: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        if url.host_str().is_none_or(str::is_empty) || !url.username().is_empty() {
            return Err("must be a folder, or a bucket such as s3://bucket/folder".into());
        }
        let retry = RetryConfig { max_retries: 3, retry_timeout: AGAIN, ..RetryConfig::default() };
        // The provider of encryption must be in place before the first client is made.
        rustls::crypto::ring::default_provider().install_default().ok();
        let ours = (CALL.0.to_owned(), CALL.1.to_owned());
        let settings =
            std::iter::once(ours).chain(aws).filter(|(name, _)| name.starts_with("AWS_"));
        let builder = settings.fold(AmazonS3Builder::new(), |builder, (name, value)| {
            match name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            }
        });
        let built =
            builder.with_bucket_name(url.host_str().unwrap_or_default()).with_retry(retry).build();
        // What is wrong could quote a key.
        let store = built.map_err(|_| "names a bucket, and the AWS_ settings for it are wrong")?;
        let prefix = Path::parse(url.path()).map_err(|_| "has a path that no bucket has")?;
        Ok(Self(Place::Bucket { store: Arc::new(store), prefix, url }))
    }

    /// Keeps something under this name, in place of what was there.
    ///
    /// # Errors
    /// When the storage does not take it.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), StorageError> {
        let kept = async {
            let (store, path) = self.at(name, true)?;
            store.put(&path, bytes.into()).await
        };
        kept.await.map(|_| ()).map_err(|error| self.broken("put", &error))
    }

    /// What lies under this name, if anything does.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let found = async {
            let (store, path) = self.at(name, false)?;
            store.get(&path).await?.bytes().await
        };
        match found.await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if trouble::is_nothing_there(&error) => Ok(None),
            Err(error) => Err(self.broken("get", &error)),
        }
    }

    /// Keeps something, reads it and removes it.
    ///
    /// # Errors
    /// When one of that fails.
    pub async fn try_out(&self) -> Result<(), StorageError> {
        let name = format!("try-{:032x}", rand::random::<u128>());
        self.put(&name, name.clone().into()).await?;
        let kept = self.get(&name).await?;
        self.remove(&name).await?;
        if kept == Some(name.into()) {
            Ok(())
        } else {
            Err(StorageError { place: self.to_string(), trouble: Trouble::Forgetful })
        }
    }

    /// Removes what lies under this name, if anything does.
    ///
    /// # Errors
    /// When the storage does not let it go.
    pub async fn remove(&self, name: &str) -> Result<(), StorageError> {
        let removed = async {
            let (store, path) = self.at(name, false)?;
            store.delete(&path).await
        };
        match removed.await {
            Ok(()) => Ok(()),
            Err(error) if trouble::is_nothing_there(&error) => Ok(()),
            Err(error) => Err(self.broken("remove", &error)),
        }
    }

    /// Counts an error, and says it in our words.
    fn broken(&self, doing: &'static str, error: &Error) -> StorageError {
        let trouble = Trouble::of(error);
        let why = trouble.name();
        metrics::counter!("maskline_storage_errors_total", "doing" => doing, "why" => why)
            .increment(1);
        StorageError { place: self.to_string(), trouble }
    }

    /// The store, and the place of this name in it. A folder is looked for each time: it may have
    /// been mounted, or removed, since.
    fn at(&self, name: &str, make: bool) -> object_store::Result<(Arc<dyn ObjectStore>, Path)> {
        match &self.0 {
            Place::Folder(folder) => {
                if make {
                    // Pictures are nobody else's business on this computer.
                    let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
                    created.map_err(broken)?;
                }
                let store = match LocalFileSystem::new_with_prefix(folder) {
                    Err(_) if !make => return Err(missing(name)),
                    opened => opened?,
                };
                Ok((Arc::new(store), Path::from(name)))
            }
            Place::Bucket { store, prefix, .. } => {
                Ok((Arc::clone(store), prefix.clone().join(name)))
            }
        }
    }
}

fn broken(source: io::Error) -> Error {
    Error::Generic { store: "folder", source: Box::new(source) }
}

fn missing(name: &str) -> Error {
    let source = io::Error::from(io::ErrorKind::NotFound);
    Error::NotFound { path: name.to_owned(), source: Box::new(source) }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Folder(folder) => folder.display().fmt(f),
            Place::Bucket { url, .. } => url.fmt(f),
        }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_is_a_folder_or_a_bucket() {
        let shown = |place: &str| Storage::open(place).map(|storage| storage.to_string());
        assert_eq!(shown("/var/lib/maskline/media"), Ok("/var/lib/maskline/media".to_owned()));
        assert_eq!(shown("file:///var/lib/a%20b"), Ok("/var/lib/a b".to_owned()));
        assert_eq!(shown("s3://pictures/here"), Ok("s3://pictures/here".to_owned()));
        assert!(shown("media").unwrap().ends_with("/media"));
        for not in [
            "https://pictures.example",
            "s3://",
            "s3:///here",
            "s3://key@pictures",
            "file://host/a",
        ] {
            assert!(shown(not).is_err(), "{not}");
        }
    }

    #[tokio::test]
    async fn what_is_kept_in_a_folder_is_read_replaced_and_removed() {
        let folder = std::env::temp_dir().join(format!("maskline storage {}", std::process::id()));
        let storage = Storage::open(folder.to_str().unwrap()).unwrap();
        assert_eq!(storage.get("a").await.unwrap(), None);
        storage.remove("a").await.unwrap();
        for bytes in [b"one".to_vec(), b"two".to_vec()] {
            storage.put("a", bytes.clone()).await.unwrap();
            assert_eq!(storage.get("a").await.unwrap(), Some(bytes));
        }
        storage.remove("a").await.unwrap();
        storage.remove("a").await.unwrap();
        assert_eq!(storage.get("a").await.unwrap(), None);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
