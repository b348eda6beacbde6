//! `maskline demo`: one command, one address, and nothing left behind.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A demo that runs as a newcomer runs it.
pub struct Demo {
    child: Child,
    pub address: String,
    /// Its own temporary folder, so that what it leaves behind shows.
    folder: PathBuf,
    http: reqwest::Client,
}

impl Demo {
    pub async fn start(more: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("md-{:08x}", rand::random::<u32>()));
        std::fs::create_dir(&folder).unwrap();
        // PostgreSQL runs as another user when the test runs as root.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        std::fs::set_permissions(&folder, open).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_maskline"))
            .args(["demo", "--no-open"])
            .args(more)
            .env_remove("DATABASE_URL")
            .env("TMPDIR", &folder)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the demo prints its address");
        let address = line.split_whitespace().find(|word| word.starts_with("http")).unwrap();
        Self { child, address: address.to_owned(), folder, http: crate::support::http_client() }
    }

    pub async fn state(&self) -> Value {
        let get = self.http.get(format!("{}state", self.address));
        get.send().await.unwrap().json().await.unwrap()
    }

    pub async fn text(&self, from: &str, body: &str) -> Value {
        self.text_to("+14155550100", from, body).await
    }

    async fn text_to(&self, to: &str, from: &str, body: &str) -> Value {
        let text = json!({"from": from, "to": to, "body": body});
        let post = self.http.post(format!("{}texts", self.address)).json(&text);
        post.send().await.unwrap().json().await.unwrap()
    }

    /// Reads the page's stream until a snapshot is as wished.
    pub async fn until(&self, wish: impl Fn(&Value) -> bool) -> Value {
        self.first("snapshot", wish).await
    }

    /// Reads the page's stream until an event of this name is as wished.
    async fn first(&self, name: &str, wish: impl Fn(&Value) -> bool) -> Value {
        let head = format!("event: {name}\ndata: ");
        let mut stream = self.http.get(format!("{}events", self.address)).send().await.unwrap();
        let mut text = String::new();
        let read = async {
            loop {
                let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
                text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some(end) = text.find("\n\n") {
                    let event: String = text.drain(..end + 2).collect();
                    let snapshot = event.strip_prefix(&head);
                    let snapshot =
                        snapshot.map(|json| serde_json::from_str::<Value>(json).unwrap());
                    if let Some(snapshot) = snapshot.filter(&wish) {
                        return snapshot;
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the demo gets there")
    }

    /// Who serves: the logins of the service at the demo's own PostgreSQL.
    async fn logins(&self) -> Vec<String> {
        let mut folders = std::fs::read_dir(&self.folder).unwrap().map(|it| it.unwrap().path());
        let socket = folders.find(|folder| folder.join(".s.PGSQL.5432").exists()).unwrap();
        let options = PgConnectOptions::new_without_pgpass().socket(socket).username("maskline");
        let options = options.database("maskline").ssl_mode(PgSslMode::Disable);
        let mut conn = PgConnection::connect_with(&options).await.unwrap();
        sqlx::query_scalar(
            "select distinct usename::text from pg_stat_activity where application_name = 'maskline'",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap()
    }

    /// Sends a signal, waits for the end and returns the exit code.
    async fn end(&mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await.unwrap();
        assert!(sent.success());
        self.child.wait().await.unwrap().code()
    }

    /// How many files and folders the demo has made.
    fn entries(&self) -> usize {
        std::fs::read_dir(&self.folder).unwrap().count()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

pub const ANN: &str = "+12065550142";
pub const BEN: &str = "+12065550187";

fn bodies(snapshot: &Value, phone: usize, direction: &str) -> Vec<String> {
    let texts = snapshot["phones"][phone]["texts"].as_array().unwrap().iter();
    let texts = texts.filter(|text| text["direction"] == direction);
    texts.map(|text| text["body"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_conversation_is_held_and_ctrl_c_leaves_nothing_behind() {
    let mut demo = Demo::start(&[]).await;
    assert_eq!(demo.logins().await, ["maskline_serve"], "as an operator's service does");
    assert_eq!(demo.text(ANN, "START").await["statuses"], json!([200]));
    let waiting = demo.until(|now| now["phones"][0]["conversation"]["code"].is_string()).await;
    let code = waiting["phones"][0]["conversation"]["code"].as_str().unwrap();
    let qr = waiting["phones"][0]["conversation"]["qr_svg_url"].as_str().unwrap();
    let qr = demo.http.get(format!("{}{}", demo.address, &qr[1..])).send().await.unwrap();
    let link = format!("sms:+14155550100?body=JOIN%20{code}");
    assert_eq!(waiting["phones"][0]["conversation"]["sms_link"], link);
    let drawn = fast_qr::QRBuilder::new(link).build().unwrap();
    let drawn = fast_qr::convert::svg::SvgBuilder::default().to_str(&drawn);
    assert_eq!(qr.text().await.unwrap(), drawn, "the QR code is that link");

    demo.text(BEN, &format!("JOIN {code}")).await;
    demo.text(BEN, "hello Ann").await;
    let said = demo
        .until(|now| {
            let texts = now["phones"][1]["texts"].as_array().unwrap();
            let hello = texts.iter().find(|text| text["body"] == "hello Ann");
            // Both phones are looked at one after the other, so the state may be ahead of the text.
            let arrived = bodies(now, 0, "in").last().is_some_and(|body| body == "hello Ann");
            arrived && hello.is_some_and(|hello| hello["state"] == "delivered")
        })
        .await;
    assert_eq!(said["exposed"], false);

    assert!(demo.entries() > 0, "PostgreSQL has a folder while the demo runs");
    assert_eq!(demo.end("-INT").await, Some(0));
    assert_eq!(demo.entries(), 0);
}

#[tokio::test]
async fn a_second_conversation_a_block_and_what_staff_must_see_are_shown() {
    let demo = Demo::start(&[]).await;
    let waits = |on: &'static str| {
        move |now: &Value| {
            let conversation = &now["phones"][0]["conversation"];
            conversation["state"] == "waiting" && conversation["masked_number"] == on
        }
    };
    let code = |now: &Value| now["phones"][0]["conversation"]["code"].as_str().unwrap().to_owned();
    demo.text(ANN, "START").await;
    let first = code(&demo.until(waits("+14155550100")).await);
    demo.text(BEN, &format!("JOIN {first}")).await;
    demo.text(ANN, "START").await;
    let names_it = |now: &Value| {
        let heard = bodies(now, 0, "in");
        heard.last().is_some_and(|body| body.contains("START to +14155550101"))
    };
    demo.until(names_it).await;
    demo.text_to("+14155550101", ANN, "START").await;
    let second = code(&demo.until(waits("+14155550101")).await);
    demo.text(BEN, &format!("JOIN {second}")).await;
    let both = demo.until(|now| now["phones"][1]["also_on"] == json!(["+14155550100"])).await;
    assert_eq!(both["phones"][1]["conversation"]["masked_number"], "+14155550101");
    assert_eq!((&both["tasks"], &both["apart"]), (&json!([]), &Value::Null));

    demo.text(ANN, "sorry, wrong number").await;
    demo.text(BEN, "REPORT").await;
    let seen = demo.until(|now| now["apart"] == "Ben").await;
    let tasks = seen["tasks"].as_array().unwrap().iter();
    let tasks: Vec<_> = tasks.map(|task| (&task["kind"], &task["who"], &task["detail"])).collect();
    let (report, soft) = (json!("report"), json!("soft_opt_out"));
    let expected =
        [(&report, &json!("Ben"), &Value::Null), (&soft, &json!("Ann"), &json!("wrong number"))];
    assert_eq!(tasks, expected);
}

#[tokio::test]
async fn only_this_computer_and_only_its_own_page_get_in() {
    let demo = Demo::start(&[]).await;
    assert!(demo.address.starts_with("http://127.0.0.1:"), "{}", demo.address);
    let page = demo.http.get(&demo.address).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(
        !page.text().await.unwrap().contains("https://"),
        "the page loads nothing from elsewhere"
    );

    let elsewhere = demo.http.get(&demo.address).header("host", "rebound.example");
    assert_eq!(elsewhere.send().await.unwrap().status(), 421);
    let forged = demo
        .http
        .post(format!("{}texts", demo.address))
        .header("origin", "https://elsewhere.example")
        .json(&json!({"from": ANN, "to": "+14155550100", "body": "STOP"}));
    assert_eq!(forged.send().await.unwrap().status(), 403);
    assert_eq!(bodies(&demo.state().await, 0, "out"), Vec::<String>::new());
}

#[tokio::test]
async fn a_kept_folder_goes_on_after_a_crash() {
    let folder = std::env::temp_dir().join(format!("mk-{:08x}", rand::random::<u32>()));
    let kept = folder.to_str().unwrap();
    let mut demo = Demo::start(&["--data-dir", kept]).await;
    demo.text(ANN, "START").await;
    let before = demo.until(|now| now["phones"][0]["conversation"]["code"].is_string()).await;
    assert_eq!(demo.end("-KILL").await, None);

    let mut demo = Demo::start(&["--data-dir", kept]).await;
    let after = demo.state().await;
    let conversation = |state: &Value| state["phones"][0]["conversation"].clone();
    assert_eq!(conversation(&after), conversation(&before));
    assert_eq!(demo.end("-TERM").await, Some(0));
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_replayed_webhook_changes_nothing_and_faults_can_be_set() {
    let demo = Demo::start(&[]).await;
    demo.text(ANN, "START").await;
    demo.until(|now| now["phones"][0]["conversation"]["code"].is_string()).await;
    let exchange = demo.first("exchange", |one| one["direction"] == "webhook").await;
    let id = &exchange["id"];
    assert!(exchange["url"].as_str().unwrap().contains("/api/message/"), "{exchange}");
    assert_eq!(exchange["shown"], "/api/message/…");
    assert!(!exchange["request"].to_string().contains("/api/message/0"), "{exchange}");
    let replay = demo.http.post(format!("{}exchanges/{id}/replay", demo.address));
    let replayed: Value = replay.send().await.unwrap().json().await.unwrap();
    assert_eq!(replayed["status"], 200);

    let put = async |faults: Value| {
        let put = demo.http.put(format!("{}faults", demo.address)).json(&faults);
        put.send().await.unwrap().status().as_u16()
    };
    let mut faults = demo.state().await["faults"].clone();
    faults["refuse"] = json!(1.0);
    assert_eq!(put(faults.clone()).await, 200);
    demo.text(ANN, "HELP").await;
    demo.first("exchange", |one| one["direction"] == "call" && one["status"] == 422).await;
    faults["refuse"] = json!(2.0);
    assert_eq!(put(faults).await, 422);
    let reset = demo.http.post(format!("{}faults/reset", demo.address)).send().await.unwrap();
    assert_eq!(reset.status(), 200);
    let state = demo.state().await;
    assert_eq!(state["faults"]["refuse"], 0.0);
    assert_eq!(bodies(&state, 0, "in").len(), 1, "one START, one answer, however often it comes");
}
