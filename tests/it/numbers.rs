//! `maskline numbers`, by the real program: the pool as an operator looks after it.

use std::{
    collections::BTreeSet,
    process::{Output, Stdio},
};

use maskline::{
    carrier::simulator::{self, Simulator},
    phone::PhoneNumber,
    pool,
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, method, path, query_param},
};

use crate::{
    sending::soon,
    support::{Database, NUMBER, OTHER_NUMBER, at, number, sample},
};

const ACCESS_KEY: &str = "access-key-of-the-tests";
const SECRET_KEY: &str = "secret-key-of-the-tests";
const NOWHERE: &str = "http://127.0.0.1:1";

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A pool, and the operator who looks after it.
struct Operator {
    database: Database,
    conn: PgConnection,
    flowroute: String,
    more: Vec<(&'static str, &'static str)>,
}

impl Operator {
    async fn with(numbers: &[&str]) -> Self {
        let database = Database::migrated().await;
        let mut conn = PgConnection::connect(&database.url).await.unwrap();
        for (hour, added) in numbers.iter().enumerate() {
            let added_at = at(&format!("2026-01-01T{hour:02}:00:00Z"));
            pool::add(&mut conn, &number(added), added_at).await.unwrap();
        }
        Self { database, conn, flowroute: NOWHERE.to_owned(), more: Vec::new() }
    }

    /// Runs `maskline numbers …` with the keys and the database, and nothing else.
    async fn numbers(&self, args: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
        command
            .env_clear()
            .env("DATABASE_URL", &self.database.app_url)
            .envs(self.more.iter().copied())
            .arg("numbers")
            .args(args);
        if args[0] == "sync" {
            command
                .env("FLOWROUTE_ACCESS_KEY", ACCESS_KEY)
                .env("FLOWROUTE_SECRET_KEY", SECRET_KEY)
                .env("MASKLINE_FLOWROUTE_URL", &self.flowroute)
                .env("RUST_LOG", "trace");
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let Output { status, stdout, stderr } = soon("it ends", command.output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let said = Said { code: status.code(), out: text(stdout), err: text(stderr) };
        assert!(!(said.out.clone() + &said.err).contains(SECRET_KEY), "{}{}", said.out, said.err);
        said
    }

    /// Runs a command that must succeed and gives what it printed.
    async fn does(&self, args: &[&str]) -> String {
        let said = self.numbers(args).await;
        assert_eq!(said.code, Some(0), "{args:?}: {}{}", said.out, said.err);
        said.out
    }

    /// Runs a command that must fail and gives what it complained of.
    async fn fails(&self, args: &[&str]) -> String {
        let said = self.numbers(args).await;
        assert_eq!(said.code, Some(1), "{args:?}: {}{}", said.out, said.err);
        said.err
    }

    async fn run(&mut self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&mut self.conn).await.unwrap();
    }

    /// Each number with its state and reason, as the database has them.
    async fn states(&mut self) -> Vec<String> {
        let sql = "select number || ' ' || state || coalesce(' ' || reason, '')
                   from masked_number order by number";
        sqlx::query_scalar(sql).fetch_all(&mut self.conn).await.unwrap()
    }

    /// Opens a conversation of two new people on this number, this many hours ago.
    async fn open(&mut self, n: u32, masked: &str, hours_ago: u32) {
        let code: String = format!("{n:07o}1")
            .chars()
            .map(|digit| char::from_digit(digit.to_digit(8).unwrap() + 2, 10).unwrap())
            .collect();
        self.run(&format!(
            "with c as (
                 insert into conversation (id, code, code_expires_at, state, opened_at)
                 values (gen_random_uuid(), '{code}', now(), 'active', now()) returning id
             ),
             p as (
                 insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
                 select gen_random_uuid(), decode(md5((2 * {n} + seat)::text), 'hex'), '\\x00', '\\x00', now()
                 from (values (1), (2)) as seats (seat)
                 returning id
             )
             insert into participant
             select c.id, row_number() over (), p.id, m.id, now() - interval '{hours_ago} h'
             from c, p, masked_number m
             where m.number = '{masked}'"
        ))
        .await;
    }
}

fn account(numbers: impl IntoIterator<Item = PhoneNumber>) -> Simulator {
    Simulator::start(simulator::Settings {
        numbers: numbers.into_iter().collect(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.into(),
        ..simulator::Settings::default()
    })
    .unwrap()
}

#[tokio::test]
async fn a_number_is_reserved_retired_and_put_back_in_service() {
    let mut operator = Operator::with(&[NUMBER, OTHER_NUMBER]).await;
    let out = operator.does(&["reserve", NUMBER, "--for", "spring sale"]).await;
    assert_eq!(out, format!("{NUMBER} reserved: it gets no new conversations\n"));
    let out = operator.does(&["reserve", NUMBER]).await;
    assert_eq!(out, format!("{NUMBER} already reserved: it gets no new conversations\n"));
    assert_eq!(
        operator.states().await,
        [format!("{NUMBER} reserved spring sale"), format!("{OTHER_NUMBER} in_service"),]
    );

    operator.open(1, OTHER_NUMBER, 0).await;
    let out = operator.does(&["retire", NUMBER, OTHER_NUMBER]).await;
    assert_eq!(
        out,
        format!(
            "{NUMBER} retired: it gets no new conversations\n\
             {OTHER_NUMBER} retiring: it gets no new conversations; 1 open one goes on\n"
        )
    );
    operator.open(2, OTHER_NUMBER, 0).await;
    let table = operator.does(&["list"]).await;
    assert!(table.lines().nth(1).unwrap().contains(" retired "), "{table}");
    assert!(table.lines().nth(2).unwrap().contains(" retiring (2 open) "), "{table}");

    operator
        .run(&format!(
            "update masked_number set state = 'quarantined', reason = '31 % of 120 texts failed'
         where number = '{OTHER_NUMBER}'"
        ))
        .await;
    let out = operator.does(&["add", NUMBER, OTHER_NUMBER, NUMBER, "+14155550102"]).await;
    assert_eq!(
        out,
        format!(
            "{NUMBER} was retiring; it is back in service\n\
             {OTHER_NUMBER} was quarantined; it is back in service\n\
             {NUMBER} was there already\n+14155550102 added\n"
        )
    );
    let in_service = [NUMBER, OTHER_NUMBER, "+14155550102"].map(|one| format!("{one} in_service"));
    assert_eq!(operator.states().await, in_service, "and no reason is left");
}

#[tokio::test]
async fn a_number_that_is_not_in_the_pool_changes_nothing() {
    let mut operator = Operator::with(&[NUMBER]).await;
    for command in ["reserve", "retire"] {
        let err = operator.fails(&[command, NUMBER, OTHER_NUMBER]).await;
        assert!(err.contains(&format!("{OTHER_NUMBER} is not in the pool: nothing was changed")));
        let err = operator.fails(&[command, OTHER_NUMBER, "+14155550199"]).await;
        assert!(err.contains(&format!("{OTHER_NUMBER}, +14155550199 are not in the pool")));
    }
    assert_eq!(operator.states().await, [format!("{NUMBER} in_service")]);
    for reason in ["", " ", "two\nlines"] {
        assert_eq!(operator.numbers(&["reserve", NUMBER, "--for", reason]).await.code, Some(2));
    }
}

#[tokio::test]
async fn the_list_shows_how_texts_fare_and_when_the_pool_is_full() {
    let mut operator = Operator::with(&[NUMBER, OTHER_NUMBER]).await;
    operator.more = vec![("MASKLINE_NUMBER_CAPACITY", "20")];
    operator.open(1, NUMBER, 1).await;
    operator.open(2, NUMBER, 24 * 6).await;
    operator.open(3, OTHER_NUMBER, 24 * 8).await;
    // Of 10 texts 9 were accepted, of which 3 failed, and 1 was refused.
    operator
        .run(&format!(
            "insert into carrier_message
             (carrier_id, direction, noted_at, text_id, delivery, masked_number_id)
         select 'mdr2-' || n, 'outbound', now() - n * interval '20 h', gen_random_uuid(),
             case when n <= 2 then 'failed' else 'delivered' end, m.id
         from masked_number m, generate_series(0, 8) n where m.number = '{NUMBER}';
         insert into send_failure
         select m.id, now() - n * interval '50 h', 'refused'
         from masked_number m, generate_series(0, 3) n where m.number = '{NUMBER}'"
        ))
        .await;
    let out = operator.does(&["list", "--format", "json"]).await;
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        listed[0],
        json!({
            "number": NUMBER, "state": "in_service", "reason": null,
            "state_since": "2026-01-01T00:00:00Z", "added_at": "2026-01-01T00:00:00Z",
            "open_conversations": 2, "people": 4,
            "accepted": 9, "failed": 4, "undelivered_percent": 40.0,
        })
    );
    assert_eq!(listed[1]["undelivered_percent"], Value::Null);

    let table = operator.does(&["list"]).await;
    let words = |n: usize| table.lines().nth(n).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        words(1).join(" "),
        format!("{NUMBER} in service 2 4 9 4 40.0 % 2026-01-01T00:00:00Z")
    );
    assert_eq!(
        words(2).join(" "),
        format!("{OTHER_NUMBER} in service 1 2 0 0 - 2026-01-01T01:00:00Z")
    );
    assert!(table.contains("Places: 6 of 40 used (15 %)."), "{table}");
    assert!(table.contains("days: +0.6 people a day. Full: at this rate the pool is full in 59 d"));
    assert!(!table.contains("WARNING"), "{table}");

    operator.more = vec![("MASKLINE_NUMBER_CAPACITY", "3")];
    let table = operator.does(&["list"]).await;
    assert!(table.contains("Places: 5 of 6 used (83 %)."), "a full number has no more: {table}");
    assert!(table.contains("WARNING") && table.contains("maskline numbers add"), "{table}");

    operator.more = Vec::new();
    operator
        .run("update participant set left_at = now() where joined_at < now() - interval '2 d'")
        .await;
    let table = operator.does(&["list"]).await;
    assert!(table.contains("days: +0.0 people a day. Full: not at this rate."), "{table}");
    operator.does(&["retire", NUMBER, OTHER_NUMBER]).await;
    let table = operator.does(&["list"]).await;
    assert!(table.contains("No number is in service") && table.contains("WARNING"), "{table}");
}

#[tokio::test]
async fn sync_reads_every_page_and_applies_only_what_it_showed() {
    let owned = || (0..450).map(|n| number(&format!("+1415556{n:04}")));
    let simulator = account(owned());
    let mut operator =
        Operator::with(&["+14155560000", NUMBER, OTHER_NUMBER, "+14155560001"]).await;
    operator.flowroute = simulator.url();
    operator.does(&["reserve", OTHER_NUMBER, "+14155560001"]).await;
    let before = operator.states().await;

    let shown = operator.does(&["sync"]).await;
    assert!(shown.contains("448 to add, 1 to retire, 3 unchanged."), "{shown}");
    assert!(shown.contains("maskline numbers sync --yes"), "{shown}");
    assert!(shown.contains(&format!("retire  {NUMBER}  ")), "{shown}");
    assert!(!shown.contains("WARNING"), "{shown}");
    assert_eq!(operator.states().await, before, "nothing is changed unasked");

    let applied = operator.does(&["sync", "--yes"]).await;
    assert!(applied.ends_with("Done.\n"), "{applied}");
    let states: BTreeSet<String> = operator.states().await.into_iter().collect();
    assert_eq!(states.len(), 452);
    for number in owned().filter(|number| number.as_str() != "+14155560001") {
        assert!(states.contains(&format!("{} in_service", number.as_str())));
    }
    for state in [
        format!("{NUMBER} retiring not in the Flowroute account"),
        format!("{OTHER_NUMBER} reserved"),
        "+14155560001 reserved".to_owned(),
    ] {
        assert!(states.contains(&state), "{state}");
    }
    let again = operator.does(&["sync", "--yes"]).await;
    assert_eq!(again, "The pool agrees with the account: 452 unchanged.\n");
    let pages = simulator.exchanges();
    assert!(pages.iter().all(|page| page.url.contains("limit=200")), "{pages:?}");
    assert_eq!(pages.len(), 9, "three times three");
}

/// A terminal on which `maskline numbers sync` asks, up to its question.
async fn asked(operator: &Operator) -> (Child, String) {
    let program = format!("{} numbers sync", env!("CARGO_BIN_EXE_maskline"));
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &program, "/dev/null"])
        .env_clear()
        .env("PATH", env!("PATH"))
        .env("DATABASE_URL", &operator.database.app_url)
        .env("FLOWROUTE_ACCESS_KEY", ACCESS_KEY)
        .env("FLOWROUTE_SECRET_KEY", SECRET_KEY)
        .env("MASKLINE_FLOWROUTE_URL", &operator.flowroute)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = String::new();
    let out = terminal.stdout.as_mut().unwrap();
    let question = async {
        while !said.ends_with("Type yes to apply this: ") {
            said.push(char::from(out.read_u8().await.unwrap()));
        }
    };
    soon("it asks", question).await;
    (terminal, said)
}

/// Types an answer and reads what comes of it: whether it went well, and what it says.
async fn answered(mut terminal: Child, answer: &str) -> (bool, String) {
    let keys = terminal.stdin.as_mut().unwrap();
    keys.write_all(answer.as_bytes()).await.unwrap();
    keys.flush().await.unwrap();
    let mut said = String::new();
    let out = terminal.stdout.as_mut().unwrap();
    soon("it answers", out.read_to_string(&mut said)).await.unwrap();
    (soon("it ends", terminal.wait()).await.unwrap().success(), said)
}

#[tokio::test]
async fn on_a_terminal_sync_asks_and_only_yes_is_a_yes() {
    let simulator = account([number(NUMBER)]);
    let mut operator = Operator::with(&[]).await;
    operator.flowroute = simulator.url();
    for no in ["no\n", "\n", "y\n", "\u{4}"] {
        let (terminal, shown) = asked(&operator).await;
        assert!(shown.contains("1 to add, 0 to retire, 0 unchanged."), "{shown}");
        let (done, said) = answered(terminal, no).await;
        assert!(done && said.contains("Nothing was changed."), "{no:?}: {said}");
        assert_eq!(operator.states().await, [""; 0]);
    }
    // What was not shown is not done.
    let (terminal, _) = asked(&operator).await;
    pool::add(&mut operator.conn, &number(OTHER_NUMBER), at("2026-01-01T00:00:00Z")).await.unwrap();
    let (done, said) = answered(terminal, "yes\n").await;
    assert!(!done && said.contains("the pool was changed meanwhile"), "{said}");
    assert_eq!(operator.states().await, [format!("{OTHER_NUMBER} in_service")]);

    let (terminal, _) = asked(&operator).await;
    let (done, said) = answered(terminal, "yes\n").await;
    assert!(done && said.contains("Done."), "{said}");
    assert_eq!(
        operator.states().await,
        [
            format!("{NUMBER} in_service"),
            format!("{OTHER_NUMBER} retiring not in the Flowroute account"),
        ]
    );
}

#[tokio::test]
async fn whoever_changes_the_pool_stands_in_the_trail() {
    const NEW: &str = "+14155550102";
    let simulator = account([number(OTHER_NUMBER), number(NEW)]);
    let mut operator = Operator::with(&[]).await;
    operator.flowroute = simulator.url();
    operator.does(&["add", NUMBER, "--by", "ann"]).await;
    operator.does(&["add", NUMBER, OTHER_NUMBER, "--by", "ann"]).await;
    operator.does(&["reserve", OTHER_NUMBER, "--for", "the spring", "--by", "ben"]).await;
    operator.does(&["add", OTHER_NUMBER, "--by", "ben"]).await;
    operator.does(&["retire", OTHER_NUMBER, "--by", "ben"]).await;
    operator.fails(&["retire", OTHER_NUMBER, "+14155550199", "--by", "ben"]).await;
    operator.does(&["sync", "--yes", "--by", "cara"]).await;
    operator.does(&["sync", "--yes", "--by", "cara"]).await;
    let sql = "select concat_ws(' ', right(masked_number, 1), rule, detail)
               from audit_record where kind = 'staff' order by at, id";
    let kept: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut operator.conn).await.unwrap();
    assert_eq!(
        kept,
        [
            "0 numbers_add by ann: added",
            "1 numbers_add by ann: added",
            "1 numbers_reserve by ben: reserved after in service, for the spring",
            "1 numbers_add by ben: was reserved; it is back in service",
            "1 numbers_retire by ben: retiring after in service",
            "2 numbers_sync by cara: added",
            "0 numbers_sync by cara: retired: not in the Flowroute account",
        ],
        "what changed nothing is not on record"
    );
}

#[tokio::test]
async fn an_account_of_somebody_else_is_warned_of_and_an_empty_one_refused() {
    let mut operator = Operator::with(&[NUMBER, OTHER_NUMBER]).await;
    let before = operator.states().await;
    let empty = account([]);
    operator.flowroute = empty.url();
    let err = operator.fails(&["sync", "--yes"]).await;
    assert!(err.contains("has no numbers: nothing was changed"), "{err}");
    assert_eq!(operator.states().await, before);

    let strange = account([number("+14155550199")]);
    operator.flowroute = strange.url();
    let shown = operator.does(&["sync"]).await;
    assert!(shown.contains("1 to add, 2 to retire, 0 unchanged."), "{shown}");
    assert!(shown.contains("WARNING: this retires every number in service"), "{shown}");
    assert_eq!(operator.states().await, before);
}

/// A page of the list with these numbers and this link to the next one.
fn page(numbers: &[&str], next: &Value) -> ResponseTemplate {
    let data: Vec<Value> = numbers
        .iter()
        .map(|number| json!({"type": "number", "id": number, "attributes": {"value": number}}))
        .collect();
    ResponseTemplate::new(200).set_body_json(json!({"data": data, "links": {"next": next}}))
}

/// A carrier that answers whatever it is asked with this.
async fn carrier(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn whatever_the_carrier_answers_nothing_is_changed_by_mistake() {
    let mut operator = Operator::with(&[NUMBER]).await;
    let before = operator.states().await;
    let next = || json!("https://api.flowroute.com/v2/numbers?limit=200&offset=200");
    let body = |body: &str| ResponseTemplate::new(200).set_body_string(body);
    let long = format!("{{\"data\": [], \"links\": {{}}, \"x\": \"{}\"}}", "x".repeat(2 << 20));
    let table = [
        (ResponseTemplate::new(401), "check FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY"),
        (ResponseTemplate::new(403), "check FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY"),
        (ResponseTemplate::new(500), "Flowroute answered with status 500"),
        (ResponseTemplate::new(404), "check MASKLINE_FLOWROUTE_URL"),
        (body("<html>Welcome!</html>"), "no list of Flowroute's numbers"),
        (body(""), "no list of Flowroute's numbers"),
        (body("[]"), "no list of Flowroute's numbers"),
        (body("{}"), "no list of Flowroute's numbers"),
        (body(r#"{"data": {"id": "14155550199"}}"#), "no list of Flowroute's numbers"),
        (body(r#"{"data": [null]}"#), "no list of Flowroute's numbers"),
        (body(r#"{"data": [{"id": "14155550199"}, {"id": "x"}]}"#), "no list of Flowroute's"),
        (body(&long), "no list of Flowroute's numbers"),
        (page(&[], &next()), "does not come to an end"),
        (page(&["14155550199"], &next()), "does not come to an end"),
        (page(&[], &Value::Null), "has no numbers"),
    ];
    for (answer, complaint) in table {
        let server = carrier(answer).await;
        operator.flowroute = server.uri();
        let err = operator.fails(&["sync", "--yes"]).await;
        assert!(err.lines().last().unwrap().contains(complaint), "{complaint}: {err}");
        assert!(server.received_requests().await.unwrap().len() <= 2);
    }
    operator.flowroute = NOWHERE.to_owned();
    let err = operator.fails(&["sync", "--yes"]).await;
    assert!(err.contains("nothing answers"), "{err}");
    assert_eq!(operator.states().await, before);
}

#[tokio::test]
async fn the_list_is_read_as_the_carrier_documents_it() {
    let mut operator = Operator::with(&[]).await;
    let body = sample("number-list-200").to_string();
    let server = carrier(ResponseTemplate::new(200).set_body_string(body)).await;
    operator.flowroute = server.uri();
    let shown = operator.does(&["sync"]).await;
    assert!(shown.starts_with("add     +12012673227\nadd     +12014845220\n2 to add"), "{shown}");
}

#[tokio::test]
async fn no_link_and_no_redirect_leads_the_keys_to_another_host() {
    let elsewhere = carrier(page(&["14155550199"], &Value::Null)).await;
    let mut operator = Operator::with(&[NUMBER]).await;
    let lure = format!("{}/v2/numbers?limit=200&offset=7", elsewhere.uri());
    let back = ResponseTemplate::new(302).insert_header("location", lure.as_str());
    let moved = carrier(back).await;
    operator.flowroute = moved.uri();
    let err = operator.fails(&["sync", "--yes"]).await;
    assert!(err.contains("Flowroute answered with status 302"), "{err}");

    // The list is read on where it was, whatever the link says.
    let lures = [
        lure.clone(),
        lure.replace("http://", "//"),
        format!("http://{}@{}", elsewhere.address(), &lure["http://".len()..]),
        "/v2/numbers?offset=9999999".to_owned(),
        "no URL at all".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    for lure in lures {
        let server = MockServer::start().await;
        let list = || Mock::given(method("GET")).and(path("/base/v2/numbers"));
        list()
            .and(query_param("offset", "0"))
            .respond_with(page(&["14155550100", "14155550101"], &json!(lure)))
            .mount(&server)
            .await;
        list()
            .and(query_param("offset", "2"))
            .respond_with(page(&["14155550102"], &Value::Null))
            .mount(&server)
            .await;
        operator.flowroute = format!("{}/base/", server.uri());
        let shown = operator.does(&["sync"]).await;
        assert!(shown.contains("2 to add, 0 to retire, 1 unchanged."), "{lure}: {shown}");
        assert_eq!(server.received_requests().await.unwrap().len(), 2, "{lure}");
    }
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn sync_asks_for_its_settings_and_the_others_do_not() {
    let operator = Operator::with(&[]).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.env_clear().env("DATABASE_URL", &operator.database.app_url).args(["numbers", "sync"]);
    let Output { status, stderr, .. } = soon("it ends", command.output()).await.unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("FLOWROUTE_ACCESS_KEY is missing"), "{err}");
    assert!(err.contains("FLOWROUTE_SECRET_KEY is missing"), "{err}");
    // The list, for one, is content with DATABASE_URL.
    operator.does(&["list"]).await;
}
