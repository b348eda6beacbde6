//! The master key, which wraps all others and stands in the settings only.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keys::{Field, Key, Unreadable};

/// What names a key without telling it: the beginning of its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `MASKLINE_MASTER_KEY`: one key, or two while it is being changed. The first wraps, all unwrap.
#[derive(Debug, Clone)]
pub struct MasterKeys(Arc<[(Fingerprint, Key)]>);

impl MasterKeys {
    /// The fingerprint of the key that wraps.
    pub fn current(&self) -> Fingerprint {
        self.0.first().map_or(Fingerprint([0; 8]), |(fingerprint, _)| *fingerprint)
    }

    /// The fingerprints of all, for people.
    pub fn fingerprints(&self) -> String {
        let all: Vec<String> = self.0.iter().map(|(one, _)| one.to_string()).collect();
        all.join(" and ")
    }

    /// Wraps a key. The fingerprint in front tells which master key opens it.
    #[expect(clippy::indexing_slicing, reason = "there is always one")]
    pub(super) fn wrap(&self, key: &Key, row: Uuid) -> Vec<u8> {
        let (fingerprint, master) = &self.0[0];
        [&fingerprint.0[..], &master.seal(Field::Key, row, key.expose())].concat()
    }

    /// Unwraps a key.
    pub(super) fn unwrap(&self, wrapped: &[u8], row: Uuid) -> Result<Key, Unreadable> {
        let (fingerprint, sealed) = split(wrapped).ok_or(Unreadable)?;
        let master = self.0.iter().find(|(known, _)| *known == fingerprint).ok_or(Unreadable)?;
        let key = Zeroizing::new(master.1.open(Field::Key, row, sealed)?);
        let key: [u8; 32] = key.as_slice().try_into().map_err(|_| Unreadable)?;
        Ok(key.into())
    }

    /// Whether one of these keys is the one that this was wrapped with; else which one it was.
    pub(super) fn knows(&self, wrapped: &[u8]) -> Result<(), Option<Fingerprint>> {
        let (fingerprint, _) = split(wrapped).ok_or(None)?;
        let known = self.0.iter().any(|(known, _)| *known == fingerprint);
        if known { Ok(()) } else { Err(Some(fingerprint)) }
    }
}

fn split(wrapped: &[u8]) -> Option<(Fingerprint, &[u8])> {
    let (fingerprint, sealed) = wrapped.split_first_chunk::<8>()?;
    Some((Fingerprint(*fingerprint), sealed))
}

impl Fingerprint {
    /// The bytes that stand in front of what its key wrapped.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn of(key: &[u8; 32]) -> Self {
        let digest =
            Sha256::new().chain_update("maskline master key\n").chain_update(key).finalize();
        Self(std::array::from_fn(|at| digest[at]))
    }
}

impl FromStr for MasterKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let key = |text: &str| -> Option<(Fingerprint, Key)> {
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).ok()?);
            let bytes: [u8; 32] = bytes.as_slice().try_into().ok()?;
            Some((Fingerprint::of(&bytes), bytes.into()))
        };
        let keys: Option<Vec<_>> = text.split(',').map(key).collect();
        let keys =
            keys.ok_or("must be 32 bytes in base64; make one with: openssl rand -base64 32")?;
        match &keys[..] {
            [_] => {}
            [(first, _), (second, _)] if first != second => {}
            [_, _] => return Err("holds the same key twice".into()),
            _ => return Err("may hold two keys at most: the new one and the old one".into()),
        }
        Ok(Self(keys.into()))
    }
}
