//! A PostgreSQL that can be killed and started again, with its data where it was.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use maskline::demo::postgres::{Error, Options, PrivatePostgres};

use super::replica::signal;
use crate::sending::soon;

/// A server whose address outlives it.
pub struct Mortal {
    data: PathBuf,
    /// Leads to the folder of the socket, which is another at each start.
    way: PathBuf,
    server: Option<PrivatePostgres>,
}

impl Mortal {
    /// Starts one that keeps its data in this folder.
    pub async fn start(data: &Path) -> Self {
        let way = std::env::temp_dir().join(format!("maskline-way-{:08x}", rand::random::<u32>()));
        let mut mortal = Self { data: data.to_owned(), way, server: None };
        mortal.revive().await;
        mortal
    }

    /// The address of its database, now and after the next start.
    pub fn url(&self) -> String {
        let way = self.way.display();
        format!("postgres:///postgres?host={way}&port=5432&user=maskline&sslmode=disable")
    }

    /// Starts it where it is dead. The last processes of the dead one may linger for a while.
    pub async fn revive(&mut self) {
        let starting = async {
            loop {
                // What was acknowledged must outlive the server, so it is durable.
                let data_dir = Some(self.data.clone());
                let options = Options { data_dir, ..Options::default() };
                match PrivatePostgres::start(options).await {
                    Ok(server) => return server,
                    Err(Error::InUse(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let server = soon("the server starts", starting).await;
        let url: url::Url = server.url("postgres").parse().unwrap();
        let (_, run) = url.query_pairs().find(|(name, _)| name == "host").unwrap();
        fs::remove_file(&self.way).ok();
        symlink(&*run, &self.way).unwrap();
        self.server = Some(server);
    }

    /// Kills it with a signal, and waits until it is gone.
    pub async fn kill(&mut self, name: &str) {
        if let Some(server) = self.server.take() {
            if let Some(process) = self.process() {
                signal(name, process);
            }
            soon("the server is gone", server.stop()).await;
        }
    }

    /// Whether it serves no more, though nobody killed it.
    pub fn has_ended(&self) -> bool {
        !self.way.join(".s.PGSQL.5432").exists()
    }

    fn process(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data.join("data/postmaster.pid")).ok()?;
        file.lines().next()?.parse().ok()
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        fs::remove_file(&self.way).ok();
    }
}

/// A folder that is gone when this is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("maskline-torture-{:08x}", rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
