//! The pool as the database has it: candidates, states, health, the forecast.

use jiff::SignedDuration;
use maskline::{
    config::PoolSettings,
    ids::{MaskedNumberId, PersonId},
    pool::{self, Candidate, Met, Near},
};
use sqlx::{Connection, PgConnection};

use crate::support::{Database, NUMBER, OTHER_NUMBER, at, number};

const NOW: &str = "2026-03-01T12:00:00Z";
const SETTINGS: PoolSettings = PoolSettings {
    choice: maskline::config::NumberChoice::Sticky,
    capacity: 10,
    cool_off: SignedDuration::from_hours(1),
    keep_apart: SignedDuration::ZERO,
};

/// A database with two masked numbers, in which everything is written by hand.
struct Pool {
    conn: PgConnection,
    conversations: u32,
    database: Database,
}

impl Pool {
    async fn new() -> Self {
        let database = Database::migrated().await;
        let mut conn = PgConnection::connect(&database.url).await.unwrap();
        for added in [NUMBER, OTHER_NUMBER] {
            pool::add(&mut conn, &number(added), at("2026-01-01T00:00:00Z")).await.unwrap();
        }
        Self { conn, conversations: 0, database }
    }

    async fn run(&mut self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&mut self.conn).await.unwrap();
    }

    async fn id(&mut self, masked: &str) -> MaskedNumberId {
        pool::find(&mut self.conn, &number(masked)).await.unwrap().unwrap().id
    }

    async fn person(&mut self, n: u32) -> PersonId {
        let sql = format!(
            "insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
             values (gen_random_uuid(), decode(md5('{n}'), 'hex'), '\\x00', '\\x00', now()) returning id"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut self.conn).await.unwrap()
    }

    /// A conversation of these people, each on their number, opened and perhaps ended then.
    async fn conversation(
        &mut self,
        people: &[(PersonId, MaskedNumberId)],
        opened: &str,
        ended: Option<&str>,
    ) {
        self.conversations += 1;
        let code: String = format!("{:07o}1", self.conversations)
            .chars()
            .map(|digit| char::from_digit(digit.to_digit(8).unwrap() + 2, 10).unwrap())
            .collect();
        let state = if ended.is_some() { "ended" } else { "active" };
        let ended = ended.map_or("null".to_owned(), |ended| format!("timestamptz '{ended}'"));
        let seats: Vec<String> = people
            .iter()
            .enumerate()
            .map(|(n, (person, on))| format!("({}, '{person}'::uuid, '{on}'::uuid)", n + 1))
            .collect();
        let sql = format!(
            "with c as (
                 insert into conversation (id, code, code_expires_at, state, opened_at, ended_at,
                     end_reason)
                 values (gen_random_uuid(), '{code}', now(), '{state}', '{opened}', {ended},
                     case when {ended} is not null then 'left' end)
                 returning id
             )
             insert into participant
             select c.id, s.seat, s.person, s.number, timestamptz '{opened}', {ended}
             from c, (values {}) as s (seat, person, number)",
            seats.join(", ")
        );
        self.run(&sql).await;
    }

    async fn candidates(
        &mut self,
        person: PersonId,
        only: Option<MaskedNumberId>,
    ) -> Vec<Candidate> {
        let own = number("+14155559999");
        pool::candidates(&mut self.conn, person, &own, only, &SETTINGS, at(NOW)).await.unwrap()
    }
}

#[tokio::test]
async fn a_number_nobody_was_on_has_no_history() {
    let mut pool = Pool::new().await;
    let ann = pool.person(1).await;
    let candidates = pool.candidates(ann, None).await;
    assert_eq!(
        candidates.iter().map(|one| one.number.number.as_str()).collect::<Vec<_>>(),
        [NUMBER, OTHER_NUMBER]
    );
    for candidate in candidates {
        let plain = Candidate {
            number: candidate.number.clone(),
            added_at: at("2026-01-01T00:00:00Z"),
            in_service: true,
            load: 0,
            carrier_blocked: false,
            taken: false,
            last_ended: None,
            met: Vec::new(),
            near: Near::SameArea,
        };
        assert_eq!(candidate, plain);
    }
}

#[tokio::test]
async fn candidates_know_what_a_person_did_on_each_number() {
    let mut pool = Pool::new().await;
    let (one, two) = (pool.id(NUMBER).await, pool.id(OTHER_NUMBER).await);
    let (ann, ben, eve) = (pool.person(1).await, pool.person(2).await, pool.person(3).await);
    let day = |day| format!("2026-02-{day:02}T00:00:00Z");
    pool.conversation(&[(ann, one), (ben, two)], &day(1), Some(&day(2))).await;
    pool.conversation(&[(eve, one), (ann, one)], &day(3), Some(&day(4))).await;
    pool.conversation(&[(ann, one), (ben, one)], &day(5), Some(&day(6))).await;
    pool.conversation(&[(ann, one)], &day(7), Some(&day(8))).await;
    pool.conversation(&[(ben, two), (ann, two)], &day(9), None).await;
    pool.conversation(&[(eve, two)], &day(10), None).await;
    pool.run(&format!("insert into carrier_block values ('{ann}', '{one}', now())")).await;
    pool.run(&format!("update masked_number set state = 'reserved' where id = '{two}'")).await;

    let found = pool.candidates(ann, None).await;
    let [first, second] = &found[..] else { panic!("{found:?}") };
    let met = |who, last: &str| Met { who, last: at(last) };
    assert_eq!(first.met, [met(ben, &day(6)), met(eve, &day(4))], "each once, latest first");
    assert_eq!(second.met, [met(ben, NOW)], "who is still there is met now");
    assert_eq!((first.last_ended, second.last_ended), (Some(at(&day(8))), None));
    assert_eq!((first.taken, second.taken), (false, true));
    assert_eq!((first.load, second.load), (0, 3));
    assert_eq!((first.carrier_blocked, second.carrier_blocked), (true, false));
    assert_eq!((first.in_service, second.in_service), (true, false));

    assert_eq!(
        pool.candidates(ann, Some(two)).await,
        std::slice::from_ref(second),
        "or only that one"
    );
    let eves = pool.candidates(eve, Some(one)).await;
    assert!(!eves[0].carrier_blocked, "a block is one pair's");
    assert_eq!(eves[0].met, [met(ann, &day(4))]);
}

#[tokio::test]
async fn load_is_counted_up_to_the_capacity() {
    let mut pool = Pool::new().await;
    let one = pool.id(NUMBER).await;
    let ann = pool.person(1).await;
    for n in 2..=10 {
        let other = pool.person(n).await;
        pool.conversation(&[(other, one)], NOW, None).await;
    }
    assert_eq!(pool.candidates(ann, Some(one)).await[0].load, 9);
    for n in 11..=14 {
        let other = pool.person(n).await;
        pool.conversation(&[(other, one)], NOW, None).await;
    }
    let candidate = pool.candidates(ann, Some(one)).await.remove(0);
    assert_eq!(candidate.load, 10);
    assert!(!pool::may_use(&candidate, &SETTINGS, None, at(NOW)));
}

/// How a number fared: texts accepted, of these failed, and others refused, all this long ago.
struct Texts<'a> {
    masked: &'a str,
    accepted: u32,
    failed: u32,
    refused: u32,
    hours_ago: u32,
}

impl Pool {
    async fn texts(&mut self, texts: Texts<'_>) {
        let Texts { masked, accepted, failed, refused, hours_ago } = texts;
        let at = format!("timestamptz '{NOW}' - interval '{hours_ago} h'");
        self.run(&format!(
            "insert into carrier_message
                 (carrier_id, direction, noted_at, text_id, delivery, masked_number_id)
             select gen_random_uuid()::text, 'outbound', {at}, gen_random_uuid(),
                 case when n <= {failed} then 'failed' else 'delivered' end, m.id
             from masked_number m, generate_series(1, {accepted}) n where m.number = '{masked}';
             insert into send_failure
             select m.id, {at}, 'failed'
             from masked_number m, generate_series(1, {failed} + {refused})
             where m.number = '{masked}'"
        ))
        .await;
    }

    async fn quarantine(&mut self, now: &str) -> Vec<String> {
        let quarantined = pool::quarantine_failing(&mut self.conn, at(now)).await.unwrap();
        quarantined.into_iter().map(|number| number.number.as_str().to_owned()).collect()
    }

    async fn column(&mut self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut self.conn)
            .await
            .unwrap()
    }

    async fn states(&mut self) -> Vec<String> {
        self.column(
            "select state || coalesce(' ' || reason, '') from masked_number order by number",
        )
        .await
    }

    /// The open tasks: kind, number and what they say.
    async fn tasks(&mut self) -> Vec<String> {
        self.column(
            "select concat_ws(' ', t.kind, m.number, t.detail)
             from task t left join masked_number m on m.id = t.masked_number_id
             where t.closed_at is null order by 1",
        )
        .await
    }
}

const THIRD_NUMBER: &str = "+14155550102";

#[tokio::test]
async fn a_number_whose_texts_fail_is_quarantined_and_staff_are_called() {
    let mut pool = Pool::new().await;
    pool::add(&mut pool.conn, &number(THIRD_NUMBER), at("2026-01-01T00:00:00Z")).await.unwrap();
    let texts = |masked| Texts { masked, accepted: 0, failed: 0, refused: 0, hours_ago: 1 };
    pool.texts(Texts { accepted: 120, failed: 38, ..texts(NUMBER) }).await;
    // Too few, too rarely, too long ago.
    pool.texts(Texts { accepted: 19, failed: 19, ..texts(OTHER_NUMBER) }).await;
    pool.texts(Texts { accepted: 100, failed: 24, ..texts(THIRD_NUMBER) }).await;
    pool.texts(Texts { refused: 50, hours_ago: 25, ..texts(THIRD_NUMBER) }).await;
    assert_eq!(pool.quarantine(NOW).await, [NUMBER]);
    let reason = "31 % of 120 texts failed within 24 h";
    let quarantined = format!("quarantined {reason}");
    assert_eq!(pool.states().await, [&quarantined, "in_service", "in_service"]);
    assert_eq!(pool.tasks().await, [format!("quarantine {NUMBER} {reason}")]);
    let since = pool.column("select state_since::text from masked_number order by number").await;
    assert_eq!(since[0], "2026-03-01 12:00:00+00");

    // One text makes the difference, whether it was accepted first or not.
    pool.texts(Texts { refused: 1, ..texts(OTHER_NUMBER) }).await;
    assert_eq!(pool.quarantine(NOW).await, [OTHER_NUMBER]);
    assert_eq!(pool.states().await[1], "quarantined 100 % of 20 texts failed within 24 h");
}

#[tokio::test]
async fn a_refused_text_counts_as_a_text() {
    let mut pool = Pool::new().await;
    let texts = |masked| Texts { masked, accepted: 0, failed: 0, refused: 0, hours_ago: 23 };
    pool.texts(Texts { refused: 20, ..texts(NUMBER) }).await;
    pool.texts(Texts { accepted: 80, refused: 24, ..texts(OTHER_NUMBER) }).await;
    assert_eq!(pool.quarantine(NOW).await, [NUMBER]);
    assert_eq!(
        pool.states().await,
        ["quarantined 100 % of 20 texts failed within 24 h", "in_service"]
    );
}

#[tokio::test]
async fn failures_from_before_it_was_put_back_in_service_do_not_count() {
    let mut pool = Pool::new().await;
    let texts = Texts { masked: NUMBER, accepted: 0, failed: 0, refused: 30, hours_ago: 2 };
    pool.texts(texts).await;
    assert_eq!(pool.quarantine(NOW).await, [NUMBER]);
    let state = pool::NumberState::InService;
    let left = pool::set_state(&mut pool.conn, &number(NUMBER), state, None, at(NOW)).await;
    assert_eq!(left.unwrap(), Some(pool::NumberState::Quarantined));
    assert_eq!(pool.quarantine("2026-03-01T12:05:00Z").await, [""; 0]);
    assert_eq!(pool.states().await, ["in_service", "in_service"]);
    let texts = Texts { masked: NUMBER, accepted: 20, failed: 5, refused: 0, hours_ago: 0 };
    pool.texts(texts).await;
    assert_eq!(pool.quarantine("2026-03-01T12:05:00Z").await, [NUMBER]);
}

#[tokio::test]
async fn the_last_number_in_service_stays_and_it_is_the_one_that_fails_least() {
    let mut pool = Pool::new().await;
    let texts = |masked| Texts { masked, accepted: 100, failed: 0, refused: 0, hours_ago: 1 };
    pool.texts(Texts { failed: 40, ..texts(NUMBER) }).await;
    pool.texts(Texts { failed: 60, ..texts(OTHER_NUMBER) }).await;
    for quarantined in [&[OTHER_NUMBER][..], &[]] {
        assert_eq!(pool.quarantine(NOW).await, quarantined);
        assert_eq!(
            pool.states().await,
            ["in_service", "quarantined 60 % of 100 texts failed within 24 h"]
        );
        assert_eq!(
            pool.tasks().await,
            [
                format!(
                    "quarantine {NUMBER} 40 % of 100 texts failed within 24 h; kept, no other is in service"
                ),
                format!("quarantine {OTHER_NUMBER} 60 % of 100 texts failed within 24 h"),
            ]
        );
    }
}

#[tokio::test]
async fn two_who_judge_at_once_leave_one_number_in_service() {
    let mut pool = Pool::new().await;
    let url = pool.database.url.clone();
    let texts = |masked| Texts { masked, accepted: 100, failed: 0, refused: 0, hours_ago: 1 };
    pool.texts(Texts { failed: 60, ..texts(NUMBER) }).await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    let mut first = other.begin().await.unwrap();
    assert_eq!(pool::quarantine_failing(&mut first, at(NOW)).await.unwrap().len(), 1);
    // What comes in meanwhile makes the other number look worse than the first.
    pool.texts(Texts { failed: 100, ..texts(OTHER_NUMBER) }).await;
    let second = tokio::spawn(async move {
        let quarantined = pool.quarantine(NOW).await;
        (pool, quarantined)
    });
    let mut watch = PgConnection::connect(&url).await.unwrap();
    let waits = "select exists (select from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut watch).await.unwrap() {
        tokio::task::yield_now().await;
    }
    first.commit().await.unwrap();
    let (mut pool, quarantined) = second.await.unwrap();
    assert_eq!(quarantined, [""; 0]);
    assert_eq!(pool.states().await[1], "in_service");
}

#[tokio::test]
async fn the_forecast_counts_places_people_and_their_growth() {
    let mut pool = Pool::new().await;
    let (one, two) = (pool.id(NUMBER).await, pool.id(OTHER_NUMBER).await);
    let mut people = Vec::new();
    for n in 1..=14 {
        people.push(pool.person(n).await);
    }
    let [last_month, ten_days_ago, yesterday] =
        ["2026-02-01T00:00:00Z", "2026-02-19T12:00:00Z", "2026-02-28T12:00:00Z"];
    for (n, person) in people.iter().enumerate() {
        let (opened, ended) = match n {
            0..9 => (yesterday, None),
            9 => (yesterday, Some(yesterday)),
            10 => (last_month, Some(yesterday)),
            11 => (last_month, Some(ten_days_ago)),
            _ => (last_month, None),
        };
        let on = if n < 13 { one } else { two };
        pool.conversation(&[(*person, on)], opened, ended).await;
    }
    let forecast = pool::forecast(&mut pool.conn, &SETTINGS, at(NOW)).await.unwrap();
    // Ten people are on the first number, one on the second; ten came and two went.
    assert_eq!(forecast, pool::Forecast { places: 20, used: 11, grown: 8 });
    pool.run(&format!("update masked_number set state = 'reserved' where id = '{two}'")).await;
    let forecast = pool::forecast(&mut pool.conn, &SETTINGS, at(NOW)).await.unwrap();
    assert_eq!(forecast, pool::Forecast { places: 10, used: 10, grown: 8 });
    let small = PoolSettings { capacity: 6, ..SETTINGS };
    let forecast = pool::forecast(&mut pool.conn, &small, at(NOW)).await.unwrap();
    assert_eq!((forecast.places, forecast.used), (6, 6), "never more than there are");
}

#[tokio::test]
async fn staff_are_called_once_when_the_pool_runs_short() {
    let mut pool = Pool::new().await;
    let one = pool.id(NUMBER).await;
    for n in 1..=8 {
        let person = pool.person(n).await;
        pool.conversation(&[(person, one)], "2026-01-01T00:00:00Z", None).await;
    }
    let mut warn = async |settings| pool::look(&mut pool.conn, &settings, at(NOW)).await.unwrap();
    assert!(!warn(SETTINGS).await, "8 of 20");
    assert!(!warn(PoolSettings { capacity: 5, ..SETTINGS }).await, "5 of 10");
    let short = PoolSettings { capacity: 9, ..SETTINGS };
    pool.run("update masked_number set state = 'reserved' where number = '+14155550101'").await;
    for is_new in [true, false] {
        assert_eq!(pool::look(&mut pool.conn, &short, at(NOW)).await.unwrap(), is_new);
    }
    assert_eq!(pool.tasks().await, ["pool 8 of 9 places are used; not at this rate"]);
}
