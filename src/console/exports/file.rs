//! The file of an export: in the storage it lies in sealed pieces, so that neither making it nor handing
//! it out needs more memory than a few of them.

use std::{
    io::{self, Write},
    mem,
};

use axum::body::Bytes;
use futures_util::{Stream, stream};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Sender;

use crate::{
    audit::tree::Hash,
    storage::{Storage, StorageError},
    vault::{FileKey, Unreadable},
};

/// How much a piece holds, in bytes.
const PIECE: usize = if cfg!(test) { 1 << 16 } else { 1 << 22 };

/// The name of a piece in the storage.
pub(super) fn name(place: &str, piece: i32) -> String {
    format!("export-{place}-{piece}")
}

/// Seals what is written to it, piece by piece, and sends the pieces on.
pub(super) struct Pieces {
    key: FileKey,
    to: Sender<Vec<u8>>,
    held: Vec<u8>,
    count: u64,
    bytes: u64,
    hasher: Sha256,
}

impl Pieces {
    pub(super) fn new(key: FileKey, to: Sender<Vec<u8>>) -> Self {
        let held = Vec::with_capacity(PIECE);
        Self { key, to, held, count: 0, bytes: 0, hasher: Sha256::new() }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = self.key.seal(self.count, &self.held);
        self.held.clear();
        self.count += 1;
        self.to.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Sends the last one. How long the file is, and its SHA-256.
    pub(super) fn close(mut self) -> io::Result<(u64, String)> {
        self.send()?;
        Ok((self.bytes, Hash(mem::take(&mut self.hasher).finalize().into()).to_string()))
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len() == PIECE {
            self.send()?;
        }
        let bytes = &bytes[..bytes.len().min(PIECE - self.held.len())];
        self.held.extend_from_slice(bytes);
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a file cannot be handed out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Missing {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("a piece of the file is not in the storage")]
    Gone,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// A file that lies in the storage.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) storage: Storage,
    pub(super) place: String,
    pub(super) key: FileKey,
    pub(super) pieces: i32,
}

impl Kept {
    /// Reads a piece.
    pub(super) async fn piece(&self, piece: i32) -> Result<Bytes, Missing> {
        let sealed = self.storage.get(&name(&self.place, piece)).await?.ok_or(Missing::Gone)?;
        Ok(self.key.open_piece(u64::from(piece.unsigned_abs()), &sealed)?.into())
    }

    /// The pieces behind the first, one after the other as they are asked for.
    pub(super) fn rest(self) -> impl Stream<Item = Result<Bytes, Missing>> {
        stream::try_unfold((self, 1), async |(file, next)| {
            if next >= file.pieces {
                return Ok(None);
            }
            let piece = file.piece(next).await.inspect_err(|error| {
                tracing::error!(%error, "an export broke off while it was downloaded");
            })?;
            Ok(Some((piece, (file, next + 1))))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_file_of_several_pieces_is_read_as_it_was_written() {
        let folder =
            std::env::temp_dir().join(format!("maskline-pieces-{:032x}", rand::random::<u128>()));
        let storage = Storage::open(folder.to_str().unwrap()).unwrap();
        let (key, place) = (FileKey::draw(), "x".to_owned());
        let file: Vec<u8> = (0..251).cycle().take(2 * PIECE + 5).collect();
        let (to, mut pieces) = mpsc::channel(1);
        let mut written = Pieces::new(key.clone(), to);
        let plain = file.clone();
        let writing = tokio::task::spawn_blocking(move || {
            written.write_all(&plain).unwrap();
            written.close().unwrap()
        });
        let mut count = 0;
        while let Some(piece) = pieces.recv().await {
            storage.put(&name(&place, count), piece).await.unwrap();
            count += 1;
        }
        let (bytes, sha256) = writing.await.unwrap();
        assert_eq!((count, bytes), (3, file.len() as u64));
        assert_eq!(sha256, Hash(Sha256::digest(&file).into()).to_string());

        let kept = Kept { storage: storage.clone(), place, key, pieces: count };
        let mut read = kept.piece(0).await.unwrap().to_vec();
        let rest: Vec<Bytes> = kept.clone().rest().try_collect().await.unwrap();
        read.extend(rest.concat());
        assert!(read == file);

        // A piece at another's place is none.
        let second = storage.get(&name("x", 1)).await.unwrap().unwrap();
        storage.put(&name("x", 0), second).await.unwrap();
        assert!(matches!(kept.piece(0).await, Err(Missing::Unreadable(_))));
        storage.remove(&name("x", 2)).await.unwrap();
        assert!(matches!(kept.piece(2).await, Err(Missing::Gone)));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
