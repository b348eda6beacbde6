//! The primary dies and its standby takes over, with texts under way and no one touching Maskline.

use std::{path::PathBuf, process::Stdio, time::Duration};

use futures_util::future::join_all;
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::Instant,
};

use crate::{
    browser::say,
    replicas::{Doors, FAST, connect, talk},
    sending::soon,
    service::{Site, run},
    support::{Cable, Database, app_login, as_app},
};

/// A primary and its synchronous standby.
struct Pair {
    folder: String,
    _script: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Pair {
    async fn start() -> Self {
        let bin = bin();
        let mut script = Command::new("bash")
            .args(["-c", include_str!("failover/pair.sh"), "pair"])
            .arg(bin)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = script.stdin.take().unwrap();
        let mut answers = BufReader::new(script.stdout.take().unwrap()).lines();
        let folder = soon("the pair starts", answers.next_line()).await.unwrap();
        Self { folder: folder.expect("the pair starts"), _script: script, orders, answers }
    }

    async fn order(&mut self, what: &str) {
        self.orders.write_all(format!("{what}\n").as_bytes()).await.unwrap();
        let answer = soon(what, self.answers.next_line()).await.unwrap();
        assert_eq!(answer.as_deref(), Some("done"), "{what}");
    }

    /// The URL of a database on these of the two servers.
    fn url(&self, servers: &[&str], more: &str) -> String {
        let folder = self.folder.replace('/', "%2F");
        let hosts: Vec<String> =
            servers.iter().map(|server| format!("{folder}%2F{server}")).collect();
        format!("postgres://maskline@{}/postgres?sslmode=disable{more}", hosts.join(","))
    }

    /// The URL of a database on one of the two servers, for a proxy in front of it.
    fn socket(&self, server: &str) -> String {
        format!("postgres:///postgres?host={}/{server}&user=maskline", self.folder)
    }

    /// Migrates the primary, and returns the URL of whichever of the two takes writes.
    async fn migrated(&self) -> String {
        let both = self.url(&["one", "two"], "&target_session_attrs=read-write");
        assert_eq!(run("migrate", &[("DATABASE_URL", &both)]).await.code, Some(0));
        app_login(&self.url(&["one"], "")).await;
        both
    }
}

/// The folder of PostgreSQL's programs, the newest that is installed.
fn bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let newest = folders.filter(|bin| bin.join("initdb").exists()).max_by_key(|bin| {
        let version = bin.parent().unwrap().file_name().unwrap().to_str().unwrap();
        version.parse::<u32>().unwrap_or(0)
    });
    newest.unwrap_or_default()
}

/// How long until texts are taken in again.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_promoted_standby_is_found_and_nothing_acknowledged_is_lost() {
    let mut pair = Pair::start().await;
    let both = pair.migrated().await;
    let standby = pair.url(&["two"], "");
    let said = run("numbers list", &[("DATABASE_URL", &standby)]).await;
    assert!(said.code == Some(1) && said.err.contains("takes no writes"), "{}", said.err);
    let app = as_app(&both);
    goes_on(&mut pair, Database::elsewhere(both, app), async || ()).await;
}

#[tokio::test]
async fn behind_a_proxy_that_leads_to_the_standby_nothing_acknowledged_is_lost() {
    let mut pair = Pair::start().await;
    let both = pair.migrated().await;
    let mut proxy = Cable::to(&as_app(&pair.socket("one")));
    let through = Database::elsewhere(both, proxy.url("postgres"));
    let standby = as_app(&pair.socket("two"));
    goes_on(&mut pair, through, async || proxy.redirect(&standby).await).await;
}

/// The primary dies, its standby is promoted, and that one starts anew, with texts under way. `lead`
/// is done before the promotion, while the standby takes no writes.
async fn goes_on(pair: &mut Pair, database: Database, lead: impl AsyncFnOnce()) {
    const TEXTS: usize = 90;
    let standby = pair.url(&["two"], "");
    let site = Site::on(database).await;
    let first = site.serve_with("serve", &FAST).await;
    connect(&site).await;
    first.stop().await;
    // Nobody sends meanwhile: a text that is being claimed when the primary dies may rightly wait
    // for its lease to end.
    let served = site.serve_with("serve --without worker", &FAST).await;
    let doors = Doors::default();
    doors.open(&served);
    let deliver = async |texts: std::ops::Range<usize>| {
        for n in texts {
            doors.deliver(&format!("id {n}"), &format!("text {n}")).await;
        }
    };
    deliver(0..30).await;
    let crash = Instant::now();
    tokio::join!(deliver(30..31), async {
        pair.order("crash").await;
        lead().await;
        pair.order("promote").await;
    });
    let promoted = crash.elapsed();
    deliver(31..32).await;
    let recovered = crash.elapsed();
    assert!(recovered < promoted + PATIENCE, "{recovered:?} after the crash");
    deliver(32..60).await;
    let restart = Instant::now();
    tokio::join!(deliver(60..61), pair.order("restart"));
    deliver(61..62).await;
    let restarted = restart.elapsed();
    assert!(restarted < PATIENCE, "{restarted:?} after the restart");
    deliver(62..TEXTS).await;

    let worker = site.serve_with("serve --without webhook", &FAST).await;
    let arrived = soon("all arrive", talk(&site, TEXTS)).await;
    let expected: Vec<String> = (0..TEXTS).map(|n| format!("text {n}")).collect();
    assert_eq!(arrived, expected);
    assert_eq!(served.ready().await.0, 200);
    let mut conn = PgConnection::connect(&standby).await.unwrap();
    let taken: i64 = sqlx::query_scalar(
        "select count(distinct carrier_id) from audit_record where kind = 'received'
         and carrier_id like 'id %'",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(usize::try_from(taken).unwrap(), TEXTS);
    say(&format!(
        "{TEXTS} texts in order, each once; promoted after {promoted:.1?}, taken in again after \
         {recovered:.1?}; after a restart, {restarted:.1?}"
    ));
    worker.stop().await;
    served.stop().await;
}

#[tokio::test]
async fn a_primary_that_falls_silent_is_left_for_the_standby() {
    let mut pair = Pair::start().await;
    let both = pair.migrated().await;
    let app = as_app(&both);
    let site = Site::on(Database::elsewhere(both, app)).await;
    let served = site.serve_with("serve --without worker,sweeper", &[]).await;
    let doors = Doors::default();
    doors.open(&served);
    // Many connections stand open when it falls silent.
    let many = (0..20).map(async |n| doors.deliver(&format!("id {n}"), "HELP").await);
    join_all(many).await;
    pair.order("freeze").await;
    pair.order("promote").await;
    let promoted = Instant::now();
    doors.deliver("id 20", "HELP").await;
    let recovered = promoted.elapsed();
    // One delivery waits in vain, 4.5 s; a second one on a dead connection would make it 9 s.
    assert!(recovered < Duration::from_millis(8500), "{recovered:?} after the promotion");
    // Not one of the connections that hear nothing is used again.
    let again = Instant::now();
    for n in 21..60 {
        doors.deliver(&format!("id {n}"), "HELP").await;
    }
    assert!(again.elapsed() < PATIENCE, "{:?}", again.elapsed());
    say(&format!("taken in again {recovered:.1?} after the standby was promoted"));
    served.stop().await;
}
