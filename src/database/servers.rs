//! The servers that `DATABASE_URL` names, of which one may be written to.
//!
//! sqlx reads one host; libpq's form for several (`postgres://u@a:5432,b:5432/db`) is read here. A
//! server that takes no writes is none of ours: it is a standby, or was the primary until just now.

use std::{io, str::FromStr, time::Duration};

use futures_util::future::select_ok;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use url::Url;

/// How long a server may take to show that it takes writes.
const GLANCE: Duration = Duration::from_secs(2);

/// What `target_session_attrs` may ask for: the server that takes writes is meant in any case.
const TARGET: &str = "target_session_attrs";
const WRITABLE: [&str; 2] = ["read-write", "primary"];

/// The parameters of a database's URL that sqlx knows. It logs any other, together with its value.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// The servers of one database, one or several.
pub struct Servers(Vec<PgConnectOptions>);

impl FromStr for Servers {
    /// A sentence that begins with the name of the setting. It never quotes the URL, which may hold
    /// a password.
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(
                "must begin with postgres://, such as postgres://maskline@localhost/maskline"
                    .into(),
            );
        }
        one_url_each(url).iter().map(|url| server(url)).collect::<Result<_, _>>().map(Self)
    }
}

impl Servers {
    /// Adds to each what `change` does.
    pub(super) fn with(self, change: impl Fn(PgConnectOptions) -> PgConnectOptions) -> Self {
        Self(self.0.into_iter().map(change).collect())
    }

    /// Whether there is another server to turn to.
    pub(super) fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// Asks all of them at once, and connects to the first that says that it takes writes.
    pub(super) async fn find_writable(&self) -> sqlx::Result<(PgConnectOptions, PgConnection)> {
        let asked = self.0.iter().map(|server| Box::pin(ask(server)));
        select_ok(asked).await.map(|(found, _)| found)
    }
}

/// The same URL with one host in it, for each that it names.
fn one_url_each(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    hosts.split(',').map(|host| format!("{scheme}://{user}{host}{rest}")).collect()
}

fn server(url: &str) -> Result<PgConnectOptions, String> {
    let mut url = Url::parse(url).map_err(|_| "is no PostgreSQL URL".to_owned())?;
    let (targets, known): (Vec<_>, Vec<_>) =
        url.query_pairs().into_owned().partition(|(name, _)| name == TARGET);
    if !targets.iter().all(|(_, target)| WRITABLE.contains(&target.as_str())) {
        return Err(format!("may have {TARGET}={} only: Maskline writes", WRITABLE.join(" or ")));
    }
    let is_known = |name: &str| PARAMETERS.contains(&name) || name.starts_with("options[");
    if !known.iter().all(|(name, _)| is_known(name)) {
        return Err(format!(
            "has a parameter that is none of {}, {TARGET} and options[…]",
            PARAMETERS.join(", ")
        ));
    }
    let is_list = |name: &str| matches!(name, "host" | "hostaddr" | "port");
    if known.iter().any(|(name, value)| is_list(name) && value.contains(',')) {
        return Err("names several hosts as a parameter; write them as postgres://user@one:5432,two:5432/database".into());
    }
    if !targets.is_empty() {
        url.set_query(None);
        if !known.is_empty() {
            url.query_pairs_mut().extend_pairs(known);
        }
    }
    PgConnectOptions::from_str(url.as_str()).map_err(|_| "is no PostgreSQL URL".to_owned())
}

async fn ask(server: &PgConnectOptions) -> sqlx::Result<(PgConnectOptions, PgConnection)> {
    let asked = async {
        let mut conn = PgConnection::connect_with(server).await?;
        if takes_writes(&mut conn).await? { Ok((server.clone(), conn)) } else { Err(read_only()) }
    };
    in_time(asked).await
}

/// Whether this connection leads to a server that takes writes, and answers in time.
pub(super) async fn is_writable(conn: &mut PgConnection) -> bool {
    asked(conn).await.unwrap_or(false)
}

/// The same, where it matters whether there was an answer.
pub(super) async fn asked(conn: &mut PgConnection) -> sqlx::Result<bool> {
    in_time(takes_writes(conn)).await
}

/// Whether this connection is answered in time, whatever its server takes.
pub(super) async fn answers(conn: &mut PgConnection) -> bool {
    in_time(conn.ping()).await.is_ok()
}

async fn takes_writes(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select current_setting('transaction_read_only') = 'off' as "takes_writes!""#
    )
    .fetch_one(conn)
    .await
}

async fn in_time<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the server does not answer");
    tokio::time::timeout(GLANCE, work).await.map_err(late)?
}

/// What is said of a server that takes no writes.
pub(super) fn read_only() -> sqlx::Error {
    io::Error::other("the server takes no writes: it is a standby, or read-only").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Result<Vec<(String, u16)>, String> {
        let servers: Servers = url.parse()?;
        Ok(servers
            .0
            .iter()
            .map(|server| (server.get_host().to_owned(), server.get_port()))
            .collect())
    }

    #[test]
    fn a_url_names_one_host_or_several() {
        let two = vec![("a".to_owned(), 5432), ("b".to_owned(), 5433)];
        for url in [
            "postgres://u:p@a,b:5433/db",
            "postgres://a:5432,b:5433",
            "postgresql://u:p%2C%40@a:5432,b:5433/db?target_session_attrs=read-write&sslmode=disable",
            "postgres://a,b:5433?target_session_attrs=primary",
        ] {
            assert_eq!(hosts(url), Ok(two.clone()), "{url}");
        }
        assert_eq!(hosts("postgres:///db?host=a"), Ok(vec![("a".to_owned(), 5432)]));
        let servers: Servers =
            "postgres://u@%2Ftmp%2Fone,%2Ftmp%2Ftwo:5433/db?target_session_attrs=read-write&application_name=a%20b"
                .parse()
                .unwrap();
        let sockets: Vec<_> = servers.0.iter().map(|server| server.get_socket()).collect();
        assert_eq!(sockets, [Some(&"/tmp/one".into()), Some(&"/tmp/two".into())]);
        for server in &servers.0 {
            assert_eq!(server.get_application_name(), Some("a b"));
            assert_eq!((server.get_username(), server.get_database()), ("u", Some("db")));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_without_a_word_of_it() {
        for (url, says) in [
            ("postgres://u:hunter2@a/db?host=a,b", "write them as postgres://"),
            ("postgres://u:hunter2@a,b/db?target_session_attrs=any", "Maskline writes"),
            ("postgres://u:hunter2@a,b/db?load_balance_hosts=hunter2", "has a parameter"),
            ("postgres://u:hunter2@a,b:port/db", "is no PostgreSQL URL"),
            ("mysql://u:hunter2@a/db", "must begin with postgres://"),
        ] {
            let problem = hosts(url).unwrap_err();
            assert!(problem.contains(says) && !problem.contains("hunter2"), "{url}: {problem}");
        }
    }
}
