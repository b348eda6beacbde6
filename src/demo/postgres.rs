//! A PostgreSQL of its own: made in a private folder, served on a Unix socket, gone with its owner.
//!
//! It listens on no network port, and nothing is left of it when its owner ends, even by kill -9:
//! a small shell script (`supervise.sh`) outlives the owner, stops the server and clears up. Only
//! a data folder that was asked for by name is kept, for the next start.

mod options;

use std::{
    fmt::Write,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::Instant;

use super::{
    home::{self, Account, DATA, at},
    installed,
};

pub use self::options::Options;

/// The role that owns the cluster, a superuser.
const ROLE: &str = "maskline";
/// Part of the socket's name; nothing listens on the network.
pub(super) const PORT: u16 = 5432;
/// How long a start may take: a kept cluster may have a crash to recover from.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a starting or stopping server is looked at.
const GLANCE: Duration = Duration::from_millis(10);
/// How long the last processes of a server that was stopped or killed may linger.
const LINGERING: Duration = Duration::from_secs(3);

/// What a server says when another still serves its data, or has not quite ended.
const LOCKED: &str = "lock file \"postmaster.pid\" already exists";
const SHARED: &str = "pre-existing shared memory block";

/// A running server, which lives as long as this value: dropping it stops the server.
#[derive(Debug)]
pub struct PrivatePostgres {
    /// The folder of the socket, the log and, unless it is kept, the data.
    run: PathBuf,
    /// The supervisor. It holds the read end of a pipe; the other end closes with this value.
    supervisor: Child,
}

/// Why there is no server, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No PostgreSQL that would do; the second line says what to type.
    #[error("{missing}\n{advice}")]
    NotInstalled {
        /// What is missing, on one line.
        missing: String,
        /// What to type on this computer.
        advice: &'static str,
    },
    /// The data folder holds something else.
    #[error("{} holds other files; name a folder that is empty or does not exist yet", .0.display())]
    NotOurs(PathBuf),
    /// Another server serves this data.
    #[error("{} is in use by another Maskline; stop that one or name another folder", .0.display())]
    InUse(PathBuf),
    /// PostgreSQL refuses to run as root, and whom it runs as instead cannot get at the data.
    #[error(
        "PostgreSQL does not run as root but as the user {user}, who cannot enter {0}; \
         name a data folder elsewhere, such as /var/lib/maskline, or type: chmod o+x {0}",
        .closed.display()
    )]
    Unreachable {
        /// Whom it runs as.
        user: String,
        /// The folder, on the way to the data, that is closed.
        closed: PathBuf,
    },
    /// There is no user to run it as.
    #[error(
        "PostgreSQL does not run as root, and there is no user postgres or nobody; start Maskline as an ordinary user"
    )]
    NoUser,
    /// A folder or file could not be made or read.
    #[error("{}: {source}", .path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server ended instead of answering.
    #[error("PostgreSQL did not start; its last words were:\n{log}")]
    Ended {
        /// The last lines of its log.
        log: String,
    },
    /// The server runs but does not answer.
    #[error("PostgreSQL did not answer within {} s; its last words were:\n{log}", PATIENCE.as_secs())]
    Silent {
        /// The last lines of its log.
        log: String,
    },
}

impl PrivatePostgres {
    /// Starts a server and returns as soon as it answers.
    ///
    /// A data folder that is in use, or that was left by a version no longer here, is an error.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let linger_until = Instant::now() + LINGERING;
        loop {
            let (mut server, log) = Self::launch(&options)?;
            tokio::select! {
                () = answers(server.options("postgres")) => return Ok(server),
                () = ended(&mut server.supervisor) => match (last_lines(log), &options.data_dir) {
                    (log, Some(folder)) if log.contains(LOCKED) || log.contains(SHARED) => {
                        if Instant::now() > linger_until {
                            return Err(Error::InUse(folder.clone()));
                        }
                        tokio::time::sleep(GLANCE).await;
                    }
                    (log, _) => return Err(Error::Ended { log }),
                },
                () = tokio::time::sleep(PATIENCE) => {
                    return Err(Error::Silent { log: last_lines(log) });
                }
            }
        }
    }

    /// The address of one of its databases, for sqlx and for psql; `postgres` exists always.
    pub fn url(&self, database: &str) -> String {
        self.url_as(ROLE, database)
    }

    /// The same, for another role.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        let socket = encoded(self.run.as_os_str().as_bytes());
        let database = encoded(database.as_bytes());
        format!("postgres:///{database}?host={socket}&port={PORT}&user={role}&sslmode=disable")
    }

    /// How to connect to one of its databases; `postgres` exists always.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.run)
            .port(PORT)
            .username(ROLE)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    /// Stops the server and returns when all is cleared up.
    pub async fn stop(mut self) {
        drop(self.supervisor.stdin.take());
        ended(&mut self.supervisor).await;
    }

    /// Starts the supervisor; the server will answer or write into the log why not.
    fn launch(options: &Options) -> Result<(Self, File), Error> {
        let kept = match &options.data_dir {
            Some(folder) => Some(std::path::absolute(folder).map_err(at(folder))?),
            None => None,
        };
        let made_by = kept.as_deref().map(home::made_by).transpose()?.flatten();
        let program = installed::choose(installed::all(), made_by)
            .map_err(|missing| Error::NotInstalled { missing, advice: installed::advice() })?;
        let account = Account::choose(kept.as_deref())?;
        if let Some(folder) = &kept {
            home::claim(folder, account.as_ref())?;
        }
        let run = home::make_run_folder(account.as_ref())?;
        let data = kept.as_ref().unwrap_or(&run).join(DATA);
        let spawned = supervise(options, &program.bin, &run, &data, account.as_ref());
        match spawned {
            Ok((supervisor, log)) => Ok((Self { run, supervisor }, log)),
            Err(source) => {
                drop(fs::remove_dir_all(&run));
                Err(Error::Folder { path: run, source })
            }
        }
    }
}

fn supervise(
    options: &Options,
    bin: &Path,
    run: &Path,
    data: &Path,
    account: Option<&Account>,
) -> io::Result<(Child, File)> {
    let path = run.join("log");
    let log = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
    // Opened before the supervisor starts: it may end at once and take the folder with it.
    let words = File::open(&path)?;
    let kept = options.data_dir.is_some();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", include_str!("supervise.sh"), "maskline-postgres"])
        .args([bin, run, data])
        .arg(if options.durable { "" } else { "--no-sync" })
        // Data that nobody will read needs no last checkpoint.
        .arg(if kept { "INT" } else { "QUIT" })
        .args(options.arguments(run))
        .current_dir(run)
        .env("LC_ALL", "C")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log);
    if let Some(account) = account {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    Ok((command.spawn()?, words))
}

/// Returns when the server takes connections.
async fn answers(options: PgConnectOptions) {
    loop {
        if let Ok(connection) = PgConnection::connect_with(&options).await {
            drop(connection.close().await);
            return;
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Returns when the supervisor has ended, and with it the server.
async fn ended(supervisor: &mut Child) {
    while let Ok(None) = supervisor.try_wait() {
        tokio::time::sleep(GLANCE).await;
    }
}

/// The end of the log, which can be read even when the folder is gone.
fn last_lines(mut log: File) -> String {
    let mut text = Vec::new();
    drop(log.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// Percent-encodes all but letters, digits and `-._~`.
fn encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => drop(write!(text, "%{byte:02X}")),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::DirBuilder,
        os::unix::fs::{DirBuilderExt, MetadataExt},
    };

    use nix::unistd::Uid;

    use super::*;

    fn options(data_dir: Option<PathBuf>) -> Options {
        Options { data_dir, durable: false, max_connections: 20, ..Options::default() }
    }

    /// A path in the temp folder where nothing is yet.
    fn nowhere() -> PathBuf {
        std::env::temp_dir().join(format!("maskline-test-{:08x}", rand::random::<u32>()))
    }

    async fn gone(folder: &Path) {
        let vanishing = async {
            while folder.exists() {
                tokio::time::sleep(GLANCE).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), vanishing).await.expect("removed in time");
    }

    async fn connect(server: &PrivatePostgres) -> PgConnection {
        PgConnection::connect_with(&server.options("postgres")).await.unwrap()
    }

    fn kill_group(supervisor: u32) {
        let command = format!("kill -s KILL -- -{supervisor}");
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    async fn number(connection: &mut PgConnection, sql: &'static str) -> i32 {
        sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
    }

    #[tokio::test]
    async fn it_answers_by_url_and_by_options_and_on_no_port() {
        let server = PrivatePostgres::start(options(None)).await.unwrap();
        let mut by_url = PgConnection::connect(&server.url("postgres")).await.unwrap();
        let mut by_options = connect(&server).await;

        for connection in [&mut by_url, &mut by_options] {
            let (role, addresses, encoding): (String, String, String) = sqlx::query_as(
                "select current_user::text, current_setting('listen_addresses'), current_setting('server_encoding')",
            )
            .fetch_one(connection)
            .await
            .unwrap();
            assert_eq!((role.as_str(), addresses.as_str(), encoding.as_str()), (ROLE, "", "UTF8"));
        }
        assert_eq!(fs::metadata(&server.run).unwrap().mode() & 0o777, 0o700);

        let run = server.run.clone();
        server.stop().await;
        assert!(!run.exists());
    }

    #[tokio::test]
    async fn dropping_it_stops_it_and_removes_its_folder() {
        let server = PrivatePostgres::start(options(None)).await.unwrap();
        let run = server.run.clone();
        let _open = connect(&server).await;
        drop(server);
        gone(&run).await;
    }

    #[tokio::test]
    async fn its_log_never_shows_a_number() {
        let server = PrivatePostgres::start(options(None)).await.unwrap();
        let mut connection = connect(&server).await;
        sqlx::query("create temporary table person (number text unique)")
            .execute(&mut connection)
            .await
            .unwrap();
        for refused in [false, true] {
            let insert = sqlx::query("insert into person values ($1)").bind("+14155550171");
            assert_eq!(insert.execute(&mut connection).await.is_err(), refused);
        }
        let log = fs::read_to_string(server.run.join("log")).unwrap();
        assert!(log.contains("duplicate key") && !log.contains("4155550171"), "{log}");
        server.stop().await;
    }

    #[tokio::test]
    async fn kept_data_is_there_after_a_stop_and_after_a_kill_of_everything() {
        let folder = nowhere();
        let server = PrivatePostgres::start(options(Some(folder.clone()))).await.unwrap();
        let mut connection = connect(&server).await;
        sqlx::query("create table kept as select 7 as n").execute(&mut connection).await.unwrap();
        let first_run = server.run.clone();
        server.stop().await;
        assert!(!first_run.exists());

        let server = PrivatePostgres::start(options(Some(folder.clone()))).await.unwrap();
        let mut connection = connect(&server).await;
        assert_eq!(number(&mut connection, "select n from kept").await, 7);
        kill_group(server.supervisor.id());
        let killed_run = server.run.clone();
        assert!(folder.join(DATA).join("postmaster.pid").exists());

        let server = PrivatePostgres::start(options(Some(folder.clone()))).await.unwrap();
        let mut connection = connect(&server).await;
        assert_eq!(number(&mut connection, "select n from kept").await, 7);
        server.stop().await;
        fs::remove_dir_all(folder).unwrap();
        fs::remove_dir_all(killed_run).unwrap();
    }

    #[tokio::test]
    async fn a_data_folder_in_use_is_refused_and_goes_on_serving() {
        let folder = nowhere();
        let first = PrivatePostgres::start(options(Some(folder.clone()))).await.unwrap();
        let error = PrivatePostgres::start(options(Some(folder.clone()))).await.unwrap_err();
        assert!(matches!(&error, Error::InUse(at) if *at == folder), "{error}");
        assert_eq!(number(&mut connect(&first).await, "select 1").await, 1);
        first.stop().await;
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_half_made_cluster_is_made_again_and_other_files_are_left_alone() {
        let folder = nowhere();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("letter.txt"), "dear").unwrap();
        let error = PrivatePostgres::start(options(Some(folder.clone()))).await.unwrap_err();
        assert!(matches!(error, Error::NotOurs(_)), "{error}");
        fs::remove_file(folder.join("letter.txt")).unwrap();

        let long = folder.join("x".repeat(120));
        let server = PrivatePostgres::start(options(Some(long.clone()))).await.unwrap();
        server.stop().await;
        fs::rename(long.join(DATA), long.join("data.new")).unwrap();
        fs::remove_dir_all(long.join("data.new/base")).unwrap();
        PrivatePostgres::start(options(Some(long.clone()))).await.unwrap().stop().await;
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn data_of_another_version_is_not_touched() {
        let folder = nowhere();
        fs::create_dir_all(folder.join(DATA)).unwrap();
        fs::write(folder.join(DATA).join("PG_VERSION"), "12\n").unwrap();
        let error = PrivatePostgres::start(options(Some(folder.clone()))).await.unwrap_err();
        assert!(error.to_string().starts_with("PostgreSQL 12, which made"), "{error}");
        assert_eq!(error.to_string().lines().count(), 2);
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn root_hears_of_a_folder_that_the_server_cannot_enter() {
        let closed = nowhere();
        DirBuilder::new().mode(0o700).create(&closed).unwrap();
        let started = PrivatePostgres::start(options(Some(closed.join("data-dir")))).await;
        if Uid::effective().is_root() {
            let error = started.unwrap_err();
            assert!(
                matches!(&error, Error::Unreachable { closed: at, .. } if *at == closed),
                "{error}"
            );
        } else {
            started.unwrap().stop().await;
        }
        fs::remove_dir_all(closed).unwrap();
    }

    /// Not a test of its own: the owner that the next test kills.
    #[tokio::test]
    #[ignore = "started by the next test"]
    async fn an_owner_that_waits_to_be_killed() {
        let server = PrivatePostgres::start(options(None)).await.unwrap();
        fs::write(std::env::temp_dir().join("owner"), server.run.to_str().unwrap()).unwrap();
        io::stdin().read_line(&mut String::new()).unwrap();
    }

    #[tokio::test]
    async fn kill_9_of_the_owner_leaves_nothing_behind() {
        // The owner's temp folder is this test's, so that what it leaves is seen.
        let temp = PathBuf::from(format!("/tmp/maskline-test-{:08x}", rand::random::<u32>()));
        DirBuilder::new().create(&temp).unwrap();
        Command::new("chmod").arg("1777").arg(&temp).status().unwrap();
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "an_owner_that_waits_to_be_killed"])
            .env("TMPDIR", &temp)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let told = temp.join("owner");
        let run = loop {
            match fs::read_to_string(&told) {
                Ok(run) if !run.is_empty() => break PathBuf::from(run),
                _ => assert_eq!(owner.try_wait().unwrap(), None),
            }
            tokio::time::sleep(GLANCE).await;
        };
        assert!(run.starts_with(&temp) && run.exists());

        owner.kill().unwrap();
        owner.wait().unwrap();

        gone(&run).await;
        fs::remove_dir_all(temp).unwrap();
    }

    #[test]
    fn every_byte_finds_its_way_into_the_url() {
        assert_eq!(encoded("/tmp/a b+ü".as_bytes()), "%2Ftmp%2Fa%20b%2B%C3%BC");
    }
}
