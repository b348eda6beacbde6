//! Making the file of an export: its files, packed into one, sealed and stored piece by piece.

use tokio::sync::{mpsc, watch};

use super::{
    file::{Pieces, name},
    lease::{self, Claim, Made},
    store::Job,
};
use crate::{
    app::App,
    audit::{
        checkpoint,
        extract::{self, ExtractError, Folder, Order, Progress, Spool},
        search::Query,
    },
    storage::StorageError,
};

/// Why an export came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Another process has it, or it is not to be made any more.
    #[error("it is another’s")]
    Lost,
    /// This process is to stop.
    #[error("the process is to stop")]
    Stopped,
    /// Another try would come to the same.
    #[error("{0}")]
    Senseless(String),
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Packing(#[from] std::io::Error),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Extract(error.into())
    }
}

impl Trouble {
    /// The same in words for staff. What the parts say themselves is for the log.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Senseless(why) => why.clone(),
            Self::Extract(ExtractError::Database(_)) | Self::Lost | Self::Stopped => {
                "The database could not be read to the end.".to_owned()
            }
            Self::Extract(ExtractError::Removed) => {
                "A month of it was removed by retention meanwhile.".to_owned()
            }
            Self::Extract(ExtractError::Checkpoint(_) | ExtractError::Contradiction(_)) => {
                "The trail is not what its checkpoint says. Verify it, under Integrity.".to_owned()
            }
            Self::Extract(ExtractError::File(_)) | Self::Packing(_) => {
                "The server could not write to its disk: it may be full.".to_owned()
            }
            Self::Storage(_) => {
                "The storage that keeps files and pictures did not take it.".to_owned()
            }
        }
    }
}

/// Makes the file of an export that is ours.
pub(super) async fn make(
    app: &App,
    claim: Claim,
    job: &Job,
    query: &Query,
    far: &watch::Sender<Progress>,
) -> Result<Made, Trouble> {
    let (spool, folder) = Spool::create()?;
    write(app, job, query, folder, far).await?;
    let (place, key) = job.file.clone().ok_or(Trouble::Lost)?;
    let (to, mut pieces) = mpsc::channel(1);
    let inside = format!("maskline-export-{}-{}", job.covered, job.format.as_str());
    let packing =
        tokio::task::spawn_blocking(move || spool.pack(&inside, Pieces::new(key, to))?.close());
    let mut count = 0;
    while let Some(piece) = pieces.recv().await {
        if !lease::reserve(&mut *app.db.acquire().await?, claim, count + 1).await? {
            return Err(Trouble::Lost);
        }
        app.settings.media.storage.put(&name(&place, count), piece).await?;
        count += 1;
    }
    let (bytes, sha256) = packing.await.map_err(std::io::Error::other)??;
    Ok(Made { pieces: count, bytes, sha256 })
}

/// Writes the files, in a transaction of their own.
async fn write(
    app: &App,
    job: &Job,
    query: &Query,
    folder: Folder,
    far: &watch::Sender<Progress>,
) -> Result<(), Trouble> {
    let unsigned =
        || Trouble::Senseless("Exports are signed, and no signing key is set any more.".to_owned());
    let signer = app.settings.audit.signer.as_ref().ok_or_else(unsigned)?;
    let checkpoint = checkpoint::of_size(&mut *app.db.acquire().await?, job.covered).await?;
    let checkpoint = checkpoint.ok_or_else(|| {
        Trouble::Senseless("The checkpoint that it is of is not there any more.".to_owned())
    })?;
    let order = Order {
        requester: &job.request.asked_by,
        approver: job.request.decision.as_ref().map(|it| it.by.as_str()),
        reason: &job.request.reason,
        case: Some(&job.request.matter),
        kind: job.format,
        checkpoint: &checkpoint,
    };
    let vault = &app.pen.vault;
    let progress = |so_far| {
        far.send_replace(so_far);
    };
    let mut tx = app.db.begin().await?;
    extract::write(&mut tx, vault, query, order, signer, folder, progress).await?;
    tx.commit().await?;
    Ok(())
}
