//! The manifest of a month that was removed because it is old: which leaves have no record any more,
//! signed with the key that signs checkpoints. Whatever else is missing was taken away by somebody.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::{
    note::{self, NoteError, Signer, Verifier},
    tree::Hash,
    verify::Leaf,
};

/// What a manifest says that it is.
pub(super) const FORMAT: &str = "maskline audit removal v1";

/// What a manifest says: JSON, and behind it a signature, as a signed note has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// What it is.
    pub format: String,
    /// The log's name.
    pub origin: String,
    /// The month, such as 2026-03, in UTC.
    pub month: String,
    /// How many records were removed.
    pub records: u64,
    /// Their leaves: the first and the last of each run.
    pub leaves: Vec<(u64, u64)>,
    /// The SHA-256 of the hashes of these leaves, one behind the other.
    pub leaves_sha256: String,
    /// How many records a checkpoint counts that covers them.
    pub checkpoint_size: u64,
    /// Its root.
    pub checkpoint_root: String,
    /// For how many months records were kept.
    pub kept_months: u32,
    /// When they were removed.
    pub removed_at: Timestamp,
    /// By whom.
    pub removed_by: String,
}

impl Manifest {
    /// The signed note of it.
    pub(super) fn sign(&self, signer: &Signer) -> serde_json::Result<String> {
        Ok(signer.sign(&format!("{}\n", serde_json::to_string_pretty(self)?)))
    }
}

/// A month that was removed, as verifying found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The month.
    pub month: String,
    /// How many of its records are gone.
    pub records: u64,
    /// When they were removed.
    pub removed_at: Timestamp,
}

/// A manifest while the leaves go by.
#[derive(Debug, Clone)]
pub(super) struct Removal {
    manifest: Manifest,
    hasher: Sha256,
    gone: u64,
}

impl Removal {
    /// Reads a manifest that one of these keys signed; with none, whoever signed it.
    pub(super) fn open(note: &str, keys: &[Verifier]) -> Result<Self, NoteError> {
        let read = |text: &str| serde_json::from_str::<Manifest>(text).ok();
        let origin = |text: &str| Some(read(text)?.origin);
        let text = note::text(note, origin, keys)?;
        let manifest = read(text).filter(|it| it.format == FORMAT).ok_or(NoteError::Malformed)?;
        Ok(Self { manifest, hasher: Sha256::new(), gone: 0 })
    }

    /// Sees a leaf go by; whether its record was removed.
    pub(super) fn sees(&mut self, leaf: &Leaf) -> bool {
        let runs = &self.manifest.leaves;
        let is_mine = runs.iter().any(|(first, last)| (*first..=*last).contains(&leaf.index));
        if is_mine {
            self.hasher.update(leaf.hash.0);
            self.gone += u64::from(leaf.record.is_none());
        }
        is_mine
    }

    /// What is gone, once all leaves were seen; else the month of which the manifest is not.
    pub(super) fn end(self) -> Result<Gone, String> {
        let Manifest { month, leaves_sha256, removed_at, .. } = self.manifest;
        if Hash(self.hasher.finalize().into()).to_string() != leaves_sha256 {
            return Err(month);
        }
        Ok(Gone { month, records: self.gone, removed_at })
    }
}

/// The manifests of all months that were removed, oldest first.
pub(super) async fn manifests(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select manifest from audit_removal order by month").fetch_all(conn).await
}
