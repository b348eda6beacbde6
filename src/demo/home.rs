//! Where a cluster lives and whom it belongs to.
//!
//! Nothing here touches a file that Maskline did not make, nor a folder that holds such files.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, chown},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid, User};

use super::postgres::{Error, PORT};

/// The name of the cluster's folder within the run folder or the one that is kept.
pub(super) const DATA: &str = "data";
/// What the system allows for a socket's path, in bytes (Linux has 107, macOS 103).
const LONGEST_SOCKET_PATH: usize = 103;

/// Whom PostgreSQL runs as when root starts it, for it refuses to run as root.
pub(super) struct Account {
    name: String,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

impl Account {
    /// Nobody else for an ordinary user; for root the owner of the kept data, else a service user.
    pub(super) fn choose(kept: Option<&Path>) -> Result<Option<Self>, Error> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        let owner = kept
            .and_then(|folder| fs::metadata(folder.join(DATA)).ok())
            .and_then(|data| User::from_uid(Uid::from_raw(data.uid())).ok().flatten())
            .filter(|owner| !owner.uid.is_root());
        let named = |name| User::from_name(name).ok().flatten();
        let user = owner.or_else(|| named("postgres")).or_else(|| named("nobody"));
        user.map(|user| Some(Self { name: user.name, uid: user.uid, gid: user.gid }))
            .ok_or(Error::NoUser)
    }

    /// Whether it has these rights (of `0o7`) on the folder.
    fn may(&self, rights: u32, folder: &Path) -> io::Result<bool> {
        let folder = fs::metadata(folder)?;
        let shift = match () {
            () if folder.uid() == self.uid.as_raw() => 6,
            () if folder.gid() == self.gid.as_raw() => 3,
            () => 0,
        };
        Ok((folder.mode() >> shift) & rights == rights)
    }

    /// The outermost folder on the way to this one, and of those that exist, that it cannot enter.
    fn stopped_at<'a>(&self, folder: &'a Path) -> Option<&'a Path> {
        folder.ancestors().filter(|on_the_way| !self.may(0o1, on_the_way).unwrap_or(true)).last()
    }
}

/// The major version that made the cluster in a kept folder, if there is one.
pub(super) fn made_by(kept: &Path) -> Result<Option<u32>, Error> {
    let path = kept.join(DATA).join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(version) => Ok(version.trim().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Folder { path, source }),
    }
}

/// Makes the folder that is kept, or makes sure that it is one that Maskline may use.
pub(super) fn claim(folder: &Path, account: Option<&Account>) -> Result<(), Error> {
    if let Some(parent) = folder.parent() {
        if let Some((account, closed)) = account.and_then(|a| Some((a, a.stopped_at(parent)?))) {
            let closed = closed.to_owned();
            return Err(Error::Unreachable { user: account.name.clone(), closed });
        }
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    if !folder.exists() {
        DirBuilder::new().mode(0o700).create(folder).map_err(at(folder))?;
    }
    let is_empty = fs::read_dir(folder).map_err(at(folder))?.next().is_none();
    let is_ours = [DATA, "data.new"].into_iter().any(|name| folder.join(name).exists());
    if !is_empty && !is_ours {
        return Err(Error::NotOurs(folder.to_owned()));
    }
    if let Some(account) = account.filter(|_| is_empty) {
        own(folder, account).map_err(at(folder))?;
    }
    Ok(())
}

/// Makes a folder with a short path that only PostgreSQL's user can enter.
pub(super) fn make_run_folder(account: Option<&Account>) -> Result<PathBuf, Error> {
    let name = format!("maskline-{:08x}", rand::random::<u32>());
    let socket = format!("/{name}/.s.PGSQL.{PORT}");
    let fits = |parent: &PathBuf| {
        parent.is_absolute()
            && parent.as_os_str().len() + socket.len() <= LONGEST_SOCKET_PATH
            && account.is_none_or(|account| {
                account.stopped_at(parent).is_none() && account.may(0o3, parent).unwrap_or(false)
            })
    };
    let parent = Some(std::env::temp_dir()).filter(fits).unwrap_or_else(|| "/tmp".into());
    let run = parent.join(name);
    DirBuilder::new().mode(0o700).create(&run).map_err(at(&run))?;
    if let Some(account) = account {
        own(&run, account).map_err(at(&run))?;
    }
    Ok(run)
}

fn own(folder: &Path, account: &Account) -> io::Result<()> {
    chown(folder, Some(account.uid.as_raw()), Some(account.gid.as_raw()))
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Folder { path: path.to_owned(), source }
}
