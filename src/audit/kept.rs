//! What the folders of `MASKLINE_AUDIT_CHECKPOINTS` keep: the checkpoints that nobody can change who
//! changes the database.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    note::Checkpoint,
    publish::{self, Target},
    verify::Kept,
};

/// How many of a folder are read, the newest and others evenly spread: one covers all before it, and
/// more of them only narrow down where the trail was changed.
const MOST: usize = 10_000;
/// How long a folder may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was found in the folders.
#[derive(Debug, Default)]
pub struct Found {
    /// The checkpoints.
    pub kept: Vec<Kept>,
    /// The folders that could not be read, and why.
    pub unread: Vec<(PathBuf, io::Error)>,
}

/// Reads what is kept there of the logs of these names; of any log where there is no name. What was
/// posted to an address cannot be read back.
pub async fn read(targets: &[Target], origins: &[&str]) -> Found {
    let mut found = Found::default();
    for folder in targets.iter().filter_map(Target::folder) {
        let origins: Vec<String> = origins.iter().map(|&name| name.to_owned()).collect();
        match within(folder, move |folder| of_folder(folder, &origins)).await {
            Ok(kept) => found.kept.extend(kept),
            Err(error) => found.unread.push((folder.to_owned(), error)),
        }
    }
    found
}

/// How many records the greatest checkpoint counts that is kept there of the log of this name. A folder
/// that cannot be read keeps nobody from signing.
pub(super) async fn greatest(targets: &[Target], origin: &str) -> u64 {
    let mut greatest = 0;
    for folder in targets.iter().filter_map(Target::folder) {
        let origin = origin.to_owned();
        match within(folder, move |folder| greatest_of_folder(folder, &origin)).await {
            Ok(size) => greatest = greatest.max(size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, folder = %folder.display(), "what is kept of the audit trail outside cannot be read");
            }
        }
    }
    greatest
}

/// Reads where a folder of another machine that has gone away holds up nobody.
async fn within<T: Send + 'static>(
    folder: &Path,
    read: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let folder = folder.to_owned();
    let read = tokio::task::spawn_blocking(move || read(&folder));
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(read) => read.map_err(io::Error::other)?,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The sizes of the checkpoints in a folder, the smallest first.
fn sizes(folder: &Path) -> io::Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(folder)? {
        sizes.extend(entry?.file_name().to_str().and_then(publish::size_of_name));
    }
    sizes.sort_unstable();
    Ok(sizes)
}

fn of_folder(folder: &Path, origins: &[String]) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for size in spread(&sizes(folder)?, MOST) {
        let path = folder.join(publish::file_name(size));
        let note = fs::read_to_string(&path)?;
        let is_other = |it: Checkpoint| !origins.is_empty() && !origins.contains(&it.origin);
        if !Checkpoint::read(&note).is_ok_and(is_other) {
            kept.push(Kept { note, name: format!("the kept checkpoint {}", path.display()) });
        }
    }
    Ok(kept)
}

fn greatest_of_folder(folder: &Path, origin: &str) -> io::Result<u64> {
    for size in sizes(folder)?.into_iter().rev() {
        let note = fs::read_to_string(folder.join(publish::file_name(size)))?;
        if let Ok(checkpoint) = Checkpoint::read(&note)
            && checkpoint.origin == origin
        {
            return Ok(checkpoint.size);
        }
    }
    Ok(0)
}

/// So many of them at most, evenly spread, the last among them.
fn spread(sizes: &[u64], most: usize) -> Vec<u64> {
    let step = sizes.len().div_ceil(most).max(1);
    let mut chosen: Vec<u64> = sizes.iter().rev().step_by(step).copied().collect();
    chosen.reverse();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_checkpoints_some_are_read_and_the_newest_always() {
        let sizes: Vec<u64> = (1..=25).collect();
        assert_eq!(spread(&sizes, 100), sizes);
        assert_eq!(spread(&sizes, 10), [1, 4, 7, 10, 13, 16, 19, 22, 25]);
        assert_eq!(spread(&sizes, 1), [25]);
        assert_eq!(spread(&[], 10), [0; 0]);
    }
}
