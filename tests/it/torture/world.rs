//! The world of a torture: a carrier with phones in pairs, processes on one database, and talk.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use maskline::{
    carrier::simulator::{self, Faults, NewText, Simulator, Way},
    clock::Clock,
    phone::PhoneNumber,
};
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    front::Front,
    replica::{Replica, program},
    size,
};
use crate::{
    sending::soon,
    support::{MASTER_KEY, NUMBER, SECRET, app_login, code_in, number},
};

/// How long something may go on before it is taken for stuck.
const LONG: Duration = Duration::from_mins(5);
/// How long until it is looked again.
const GLANCE: Duration = Duration::from_millis(50);
/// How many phones speak at the same instant.
const GROUP: usize = 10;

/// What a test wants.
pub struct Wishes<'a> {
    pub database_url: &'a str,
    /// How many talk to each other, two and two.
    pub pairs: usize,
    pub settings: &'a [(&'a str, &'a str)],
    /// What each process gets besides.
    pub replicas: Vec<Vec<(String, String)>>,
}

pub struct World {
    pub simulator: Simulator,
    pub front: Front,
    /// Nothing where one is dead.
    pub replicas: tokio::sync::Mutex<Vec<Option<Replica>>>,
    pub db: PgPool,
    environments: Vec<Vec<(String, String)>>,
    /// How many texts of each phone were acknowledged: it waits for one before it sends the next.
    acknowledged: Vec<AtomicU32>,
    paused: Mutex<HashMap<usize, std::net::SocketAddr>>,
}

/// A phone, by its place: the first two are a pair, and so on.
pub fn phone(place: usize) -> PhoneNumber {
    number(&format!("+1206556{place:04}"))
}

/// What a phone says, such as `p3a 17`.
pub fn words(place: usize, turn: u32) -> String {
    format!("p{}{} {turn}", place / 2, if place.is_multiple_of(2) { 'a' } else { 'b' })
}

impl World {
    /// Starts all of it, and connects each pair.
    pub async fn start(wishes: Wishes<'_>) -> Self {
        let simulator = Simulator::start(simulator::Settings {
            numbers: vec![number(NUMBER)],
            resend_after: Duration::from_millis(500),
            clock: Clock::System,
            ..simulator::Settings::default()
        })
        .unwrap();
        let front = Front::start().await;
        let app_url = prepare(wishes.database_url).await;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut shared: Vec<_> = [
            ("DATABASE_URL", app_url.as_str()),
            ("MASKLINE_LISTEN", "127.0.0.1:0"),
            ("MASKLINE_ADMIN_LISTEN", "127.0.0.1:0"),
            ("MASKLINE_PUBLIC_URL", &format!("http://{}", front.address)),
            ("MASKLINE_WEBHOOK_SECRETS", SECRET),
            ("MASKLINE_MASTER_KEY", MASTER_KEY),
            ("FLOWROUTE_ACCESS_KEY", "simulated"),
            ("FLOWROUTE_SECRET_KEY", "simulated"),
            ("MASKLINE_FLOWROUTE_URL", &simulator.url()),
            ("MASKLINE_SMS_PER_SECOND", "10000"),
        ]
        .iter()
        .map(own)
        .collect();
        shared.extend(wishes.settings.iter().map(own));
        let together = |own: Vec<_>| shared.iter().cloned().chain(own).collect();
        let environments: Vec<Vec<_>> = wishes.replicas.into_iter().map(together).collect();
        let world = Self {
            db: PgPoolOptions::new().max_connections(4).connect(wishes.database_url).await.unwrap(),
            replicas: tokio::sync::Mutex::new(environments.iter().map(|_| None).collect()),
            acknowledged: (0..2 * wishes.pairs).map(|_| AtomicU32::new(0)).collect(),
            paused: Mutex::default(),
            simulator,
            front,
            environments,
        };
        join_all((0..world.environments.len()).map(|which| world.revive(which))).await;
        world.register().await;
        join_all((0..wishes.pairs).map(|pair| world.connect(pair))).await;
        world
    }

    async fn register(&self) {
        let url = format!("{}/v2.2/messages/sms_callback", self.simulator.url());
        let webhook = format!("http://{}/api/message/{SECRET}", self.front.address);
        let put = reqwest::Client::new()
            .put(url)
            .basic_auth("simulated", Some("simulated"))
            .json(&json!({"data": {"attributes": {"callback_url": webhook}}}));
        assert_eq!(put.send().await.unwrap().status(), 204);
    }

    async fn connect(&self, pair: usize) {
        let (ann, ben) = (2 * pair, 2 * pair + 1);
        self.text(ann, "START", &format!("start-{pair}")).await;
        let code = code_in(&self.inbox(ann, 1).await[0]).unwrap();
        self.text(ben, &format!("JOIN {code}"), &format!("join-{pair}")).await;
        tokio::join!(self.inbox(ann, 2), self.inbox(ben, 1));
    }

    /// Starts a process where there is none.
    pub async fn revive(&self, which: usize) {
        let replica = Replica::start(&self.environments[which]).await;
        self.replicas.lock().await[which] = Some(replica);
        self.lead().await;
    }

    /// Kills a process, wherever it stands.
    pub async fn kill(&self, which: usize) {
        let replica = self.replicas.lock().await[which].take().unwrap();
        replica.kill().await;
        self.lead().await;
    }

    /// Stops a process in the middle, or lets it go on. New webhooks go to the others.
    pub async fn pause(&self, which: usize, stops: bool) {
        {
            let replicas = self.replicas.lock().await;
            let replica = replicas[which].as_ref().unwrap();
            replica.signal(if stops { "-STOP" } else { "-CONT" });
            let mut paused = self.paused.lock().unwrap();
            if stops {
                paused.insert(which, replica.public);
            } else {
                paused.remove(&which);
            }
        }
        self.lead().await;
    }

    async fn lead(&self) {
        let replicas = self.replicas.lock().await;
        let paused = self.paused.lock().unwrap();
        let living = replicas.iter().flatten().map(|replica| replica.public);
        self.front.lead_to(living.filter(|it| !paused.values().any(|other| other == it)).collect());
    }

    /// Lets a phone text until the carrier hears that it was taken in.
    pub async fn text(&self, place: usize, body: &str, id: &str) {
        let until = async {
            while !self.tries(place, body, id).await.contains(&Some(200)) {
                sleep(GLANCE).await;
            }
        };
        timeout(LONG, until).await.unwrap_or_else(|_| panic!("{body} is never taken in"));
    }

    /// Lets a phone text, whatever the webhook says to it.
    pub async fn tries(&self, place: usize, body: &str, id: &str) -> Vec<Option<u16>> {
        let text = NewText {
            from: phone(place),
            to: number(NUMBER),
            body: Some(body.to_owned()),
            media: Vec::new(),
            id: Some(id.to_owned()),
            shape: None,
        };
        self.simulator.text(text).await.unwrap().statuses
    }

    /// A phone says the next thing.
    pub async fn say(&self, place: usize) {
        let turn = self.acknowledged(place) + 1;
        self.text(place, &words(place, turn), &format!("said-{place}-{turn}")).await;
        self.acknowledged[place].store(turn, Ordering::Relaxed);
    }

    /// A phone tries once to say the next thing; gives the status.
    pub async fn tries_to_say(&self, place: usize) -> Option<u16> {
        let turn = self.acknowledged(place) + 1;
        let id = format!("said-{place}-{turn}");
        let status = self.tries(place, &words(place, turn), &id).await[0];
        if status == Some(200) {
            self.acknowledged[place].store(turn, Ordering::Relaxed);
        }
        status
    }

    pub fn places(&self) -> usize {
        self.acknowledged.len()
    }

    pub fn acknowledged(&self, place: usize) -> u32 {
        self.acknowledged[place].load(Ordering::Relaxed)
    }

    /// How many texts of all phones were acknowledged.
    pub fn said(&self) -> u32 {
        (0..self.places()).map(|place| self.acknowledged(place)).sum()
    }

    /// All but the last pair talk, so many texts a second together, until it is enough. Whole groups
    /// speak at one instant, so that their texts share commits.
    pub async fn talk(&self, per_second: u32, enough: &CancellationToken) {
        let places = self.places() - 2;
        let every = Duration::from_secs(1) * u32::try_from(places).unwrap() / per_second;
        let talk = |place: usize| async move {
            let group = u32::try_from(place / GROUP * GROUP).unwrap();
            let offset = every * group / u32::try_from(places).unwrap();
            let mut turns = interval_at(Instant::now() + offset, every);
            turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while enough.run_until_cancelled(turns.tick()).await.is_some() {
                self.say(place).await;
            }
        };
        join_all((0..places).map(talk)).await;
    }

    /// The last pair, which is silent else, says something; returns when it has arrived, and is known
    /// to have.
    pub async fn probe(&self) {
        let (from, to) = (self.places() - 2, self.places() - 1);
        self.say(from).await;
        let turn = self.acknowledged(from);
        let words = words(from, turn);
        while !self.simulator.phone(&phone(to)).iter().any(|text| text.body == words) {
            sleep(GLANCE).await;
        }
        // Who is stopped before it has noted that leaves the lane to the carrier's list.
        let noted = "select not exists (select from outbox where cause = $1)";
        let noted = || sqlx::query_scalar::<_, bool>(noted).bind(format!("said-{from}-{turn}"));
        while !noted().fetch_one(&self.db).await.unwrap() {
            sleep(GLANCE).await;
        }
    }

    /// Each phone says so many things, as fast as it can.
    pub async fn say_each(&self, count: u32) {
        let all = |place| async move {
            for _ in 0..count {
                self.say(place).await;
            }
        };
        join_all((0..self.places()).map(all)).await;
    }

    /// Waits until a phone shows so many texts that came in, and gives them.
    pub async fn inbox(&self, place: usize, count: usize) -> Vec<String> {
        let arrived = async {
            loop {
                let texts = self.simulator.phone(&phone(place)).into_iter();
                let inbox: Vec<_> =
                    texts.filter(|text| text.direction == Way::In).map(|text| text.body).collect();
                if inbox.len() >= count {
                    return inbox;
                }
                sleep(GLANCE).await;
            }
        };
        soon("a pair is connected", arrived).await
    }

    pub fn faults(&self, faults: Faults) {
        self.simulator.set_faults(faults).unwrap();
    }

    /// Lets the time pass that texts wait for, by moving their times back: the lease of those that
    /// were claimed 5 s ago, and 6 minutes for those that have been unknown so long.
    pub async fn hasten(&self, unknown: Duration) {
        let leases = "update outbox set leased_until = clock_timestamp() - interval '1 s'
            where state = 'sending' and tried_at < clock_timestamp() - interval '5 s'";
        sqlx::query(leases).execute(&self.db).await.unwrap();
        let outcomes = "update outbox set unknown_since = unknown_since - interval '6 min'
            where state = 'unknown' and passed_at is null
                and unknown_since between clock_timestamp() - interval '5 min'
                    and clock_timestamp() - make_interval(secs => $1)";
        let outcomes = sqlx::query(outcomes).bind(unknown.as_secs_f64());
        outcomes.execute(&self.db).await.unwrap();
    }

    /// Waits until all is settled that can be; time passes quicker for what has been unknown for so
    /// long, if that is given.
    pub async fn settle(&self, hastens: Option<Duration>) {
        let open = "select count(*) from outbox where state <> 'unknown' or passed_at is null";
        let settled = async {
            loop {
                if sqlx::query_scalar::<_, i64>(open).fetch_one(&self.db).await.unwrap() == 0 {
                    return;
                }
                if let Some(unknown) = hastens {
                    self.hasten(unknown).await;
                }
                sleep(GLANCE).await;
            }
        };
        timeout(size(LONG, 3 * LONG), settled).await.expect("the outbox is never settled");
    }
}

/// Brings the database up to date and adds the number, as an operator does. Gives the URL of the
/// service's login.
async fn prepare(url: &str) -> String {
    let run = async |args: &[&str], url: &str| {
        let env = [("DATABASE_URL".to_owned(), url.to_owned())];
        let status = soon("the database is prepared", program(args, &env).status()).await;
        assert!(status.unwrap().success(), "{args:?}");
    };
    run(&["migrate"], url).await;
    let app_url = app_login(url).await;
    run(&["numbers", "add", NUMBER], &app_url).await;
    app_url
}
