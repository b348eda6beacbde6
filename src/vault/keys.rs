//! A key, and what it seals: XChaCha20-Poly1305 with a random nonce, bound to a field of a row.

use std::{fmt, sync::Arc};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretBox};
use uuid::Uuid;

/// The first byte of all that is sealed: how it was done.
const FORM: u8 = 1;
/// The length of a nonce, in bytes. So long that random ones never meet.
const NONCE: usize = 24;

/// Where something sealed stands. What was sealed for one field opens in no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A key, sealed under the master key.
    Key,
    /// A person's number.
    Number,
    /// The words of a text to be sent.
    OutboxBody,
    /// The words on record.
    RecordBody,
    /// The media on record.
    RecordMedia,
    /// Where a picture came from.
    MediaSource,
    /// A picture.
    MediaFile,
    /// The words of staff that prove a consent.
    Evidence,
    /// Words that staff look for.
    SearchWords,
    /// What the codes of somebody's second factor are made from.
    SecondFactor,
    /// What an export is of.
    ExportScope,
    /// The key of a file that lies in pieces.
    FileKey,
    /// A piece of such a file.
    FilePiece,
}

impl Field {
    /// The name that is sealed in. It is kept for years: never change one.
    fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Number => "person.number",
            Self::OutboxBody => "outbox.body",
            Self::RecordBody => "audit_record.body",
            Self::RecordMedia => "audit_record.media",
            Self::MediaSource => "media.source_url",
            Self::MediaFile => "media.file",
            Self::Evidence => "consent_event.evidence",
            Self::SearchWords => "search_words.words",
            Self::SecondFactor => "staff.totp",
            Self::ExportScope => "export_job.scope",
            Self::FileKey => "export_job.key",
            Self::FilePiece => "file piece",
        }
    }
}

/// Something sealed does not open: it was changed, stood elsewhere, or is under another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is sealed cannot be opened: it was changed, or its key is another or gone")]
pub struct Unreadable;

impl From<Unreadable> for sqlx::Error {
    fn from(error: Unreadable) -> Self {
        Self::Decode(error.into())
    }
}

/// 32 random bytes. Clones share them; `Debug` does not show them; they are wiped when dropped.
#[derive(Clone)]
pub(super) struct Key(Arc<SecretBox<[u8; 32]>>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// Draws a key from a generator that the operating system seeds.
    pub(super) fn draw() -> Self {
        Self::from(rand::rng().random::<[u8; 32]>())
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }

    /// Seals what stands in this field of this row. 41 bytes longer than what it holds.
    #[expect(clippy::expect_used, reason = "it fails for more than 256 GiB only")]
    pub(super) fn seal(&self, field: Field, row: Uuid, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = rand::rng().random();
        let bound = bound(field, row);
        let sealed = XChaCha20Poly1305::new(self.expose().into())
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &bound })
            .expect("less than 256 GiB");
        [&[FORM][..], &nonce, &sealed].concat()
    }

    /// Opens what was sealed in this field of this row.
    pub(super) fn open(
        &self,
        field: Field,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Unreadable> {
        let (&form, rest) = sealed.split_first().ok_or(Unreadable)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(Unreadable)?;
        if form != FORM {
            return Err(Unreadable);
        }
        let bound = bound(field, row);
        XChaCha20Poly1305::new(self.expose().into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &bound })
            .map_err(|_| Unreadable)
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Arc::new(SecretBox::new(Box::new(bytes))))
    }
}

/// What a sealed text is bound to.
fn bound(field: Field, row: Uuid) -> Vec<u8> {
    [b"maskline ", field.as_str().as_bytes(), b" ", row.as_bytes()].concat()
}
