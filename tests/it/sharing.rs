//! Texts that wait share a commit, and nothing but the commit.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use maskline::{carrier::wire::InboundText, inbound::Intake};
use sqlx::{AssertSqlSafe, Connection as _, Postgres, Transaction};
use tokio::time::Instant;

use crate::support::{NUMBER, Phone, TestApp, Wishes, number};

/// Two people in a conversation, for each of these.
async fn pairs(test: &TestApp, count: usize) -> Vec<[Phone<'_>; 2]> {
    let mut pairs = Vec::new();
    for n in 0..count {
        let phone = |role| test.phone(&format!("+1206555{role}{n:03}"));
        let (one, two) = (phone(1), phone(2));
        let code = one.starts().await;
        two.texts(&format!("JOIN {code}")).await;
        pairs.push([one, two]);
    }
    test.deliver().await;
    pairs
}

fn text(id: &str, from: &Phone<'_>, body: &str) -> InboundText {
    InboundText {
        carrier_id: id.to_owned(),
        from: Some(from.number.clone()),
        to: Some(number(NUMBER)),
        body: body.to_owned(),
        media: Vec::new(),
        sent_at: None,
    }
}

/// Holds the locks on these people, so that their texts wait.
async fn hold(test: &TestApp, who: &[&Phone<'_>]) -> Transaction<'static, Postgres> {
    let mut held = test.db.begin().await.unwrap();
    let tags: Vec<String> = who.iter().map(|phone| test.tag(&phone.number)).collect();
    let sql = format!("select from person where tag in ({}) for no key update", tags.join(", "));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *held).await.unwrap();
    held
}

/// Sends these texts while one by `first` is being served, and returns how each was answered.
async fn behind(test: &TestApp, first: &Phone<'_>, texts: Vec<InboundText>) -> Vec<bool> {
    // Not by a lock, for which nobody waits long.
    test.run(
        "create table gathered ();
         grant select on gathered to public;
         create function wait_for_them() returns trigger language plpgsql as $$
         begin
             while not exists (select from gathered) loop
                 perform pg_sleep(0.001);
             end loop;
             return new;
         end $$;
         create trigger wait_for_them before insert on carrier_message for each row
             when (new.carrier_id = 'ahead') execute function wait_for_them()",
    )
    .await;
    let intake = Intake::new(test.app.clone());
    let ahead = intake.receive(text("ahead", first, "I am being served"));
    let rest = async {
        let is_served = "select exists (select from pg_stat_activity
                         where datname = current_database() and wait_event = 'PgSleep')";
        while !test.value::<bool>(is_served).await {
            tokio::task::yield_now().await;
        }
        let gathering = join_all(texts.into_iter().map(|text| intake.receive(text)));
        let release = test.run("insert into gathered default values");
        tokio::join!(gathering, release).0
    };
    let (ahead, rest) = tokio::join!(ahead, rest);
    ahead.unwrap();
    rest.iter().map(Result::is_ok).collect()
}

const COMMITS: &str =
    "select count(distinct xmin::text) from carrier_message where carrier_id like 'shared %'";

#[tokio::test]
async fn texts_that_wait_share_one_commit_and_each_is_relayed() {
    let test = TestApp::start().await;
    let pairs = pairs(&test, 7).await;
    let texts = pairs[1..].iter().enumerate().flat_map(|(n, [one, two])| {
        [
            text(&format!("shared {n} 1"), one, &format!("from one {n}")),
            text(&format!("shared {n} 2"), two, &format!("from two {n}")),
        ]
    });
    let answered = behind(&test, &pairs[0][0], texts.collect()).await;
    assert_eq!(answered, [true; 12]);
    assert_eq!(test.value::<i64>(COMMITS).await, 1);
    test.deliver().await;
    for (n, [one, two]) in pairs[1..].iter().enumerate() {
        assert_eq!((one.last(), two.last()), (format!("from two {n}"), format!("from one {n}")));
    }
}

#[tokio::test]
async fn one_that_cannot_be_written_fails_alone() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let pairs = pairs(&test, 4).await;
    test.run(
        "create function refuse() returns trigger language plpgsql as
             $$ begin raise exception 'not this one'; end $$;
         create trigger refuse before insert on outbox for each row
             when (new.cause = 'shared 2') execute function refuse()",
    )
    .await;
    let texts = [("shared 1", 1, "good"), ("shared 2", 2, "bad"), ("shared 3", 3, "good too")];
    let texts = texts.map(|(id, pair, body)| text(id, &pairs[pair][0], body));
    assert_eq!(behind(&test, &pairs[0][0], texts.into()).await, [true, false, true]);
    let kept = "select carrier_id from carrier_message where carrier_id like 'shared %' order by 1";
    assert_eq!(test.column(kept).await, ["shared 1", "shared 3"]);
}

#[tokio::test]
async fn the_texts_of_one_phone_stay_in_their_order() {
    let test = TestApp::start().await;
    let pairs = pairs(&test, 2).await;
    let [one, two] = &pairs[1];
    let before = two.inbox().len();
    let bodies: Vec<String> = (0..12).map(|n| format!("number {n}")).collect();
    // A command among them is no way round the line.
    let mut texts: Vec<_> =
        bodies.iter().enumerate().map(|(n, body)| text(&format!("t{n}"), one, body)).collect();
    texts.insert(6, text("help", one, "HELP"));
    let answered = behind(&test, &pairs[0][0], texts).await;
    assert_eq!(answered, [true; 13]);
    test.deliver().await;
    assert_eq!(two.inbox()[before..], bodies);
    let order = "select coalesce(rule, '') from audit_record
                 where kind = 'received' and carrier_id in ('t5', 'help', 't6') order by at, id";
    assert_eq!(test.column(order).await, ["talk", "help", "talk"]);
}

#[tokio::test]
async fn what_an_earlier_text_of_the_same_commit_ended_is_over_for_the_next() {
    let test = TestApp::start().await;
    let pairs = pairs(&test, 2).await;
    let [one, two] = &pairs[1];
    let (ones, twos) = (one.inbox().len(), two.inbox().len());
    test.run("update conversation set warned_at = last_talk_at").await;
    test.advance(SignedDuration::from_hours(24 * 31));
    let texts = vec![text("shared 1", one, "hello?"), text("shared 2", two, "hello?")];
    assert_eq!(behind(&test, &pairs[0][0], texts).await, [true, true]);
    assert_eq!(test.value::<i64>(COMMITS).await, 1);
    let ended = "select carrier_id from audit_record where kind = 'ended'
                 and carrier_id like 'shared %'";
    assert_eq!(test.column(ended).await, ["shared 1"], "once");
    test.deliver().await;
    assert_eq!(one.inbox().len() - ones, 1, "{:?}", one.inbox());
    assert_eq!(two.inbox().len() - twos, 2, "told of the end, and then that it is over");
}

#[tokio::test]
async fn one_id_twice_in_one_commit_is_one_text() {
    let test = TestApp::start().await;
    let pairs = pairs(&test, 3).await;
    let texts = [&pairs[1], &pairs[2]].map(|[one, _]| text("shared", one, "the same id"));
    assert_eq!(behind(&test, &pairs[0][0], texts.into()).await, [true, true]);
    let relayed =
        "select count(*) from audit_record where kind = 'relayed' and carrier_id = 'shared'";
    assert_eq!(test.value::<i64>(relayed).await, 1);
    test.deliver().await;
}

#[tokio::test]
async fn whoever_waits_for_a_lock_holds_up_nobody_who_shares_with_them() {
    let test = TestApp::start().await;
    let pairs = pairs(&test, 3).await;
    let intake = Intake::new(test.app.clone());
    let (first, second) = (hold(&test, &[&pairs[0][0]]).await, hold(&test, &[&pairs[1][0]]).await);
    let ahead = intake.receive(text("ahead", &pairs[0][0], "served"));
    let stuck = intake.receive(text("shared 1", &pairs[1][0], "my lock is held"));
    let free = intake.receive(text("shared 2", &pairs[2][0], "mine is not"));
    let story = async {
        test.lock_waiters(1).await;
        first.commit().await.unwrap();
        let begun = Instant::now();
        free.await.unwrap();
        // The bound is 250 ms; without it they would wait until all of them are given up, 2.25 s.
        assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
        let kept = "select count(*) from carrier_message where carrier_id = 'shared 1'";
        assert_eq!(test.value::<i64>(kept).await, 0, "still waiting");
        // Alone it holds up nobody, and waits for longer than that.
        let patient = "select exists (select from pg_locks where not granted
                       and waitstart < clock_timestamp() - interval '500 milliseconds')";
        while !test.value::<bool>(patient).await {
            tokio::task::yield_now().await;
        }
        second.commit().await.unwrap();
    };
    let (ahead, stuck, ()) = tokio::join!(ahead, stuck, story);
    ahead.unwrap();
    stuck.unwrap();
    test.deliver().await;
    assert_eq!(
        (pairs[1][1].last(), pairs[2][1].last()),
        ("my lock is held".into(), "mine is not".into())
    );
}

#[tokio::test]
async fn whoever_waits_for_a_lock_holds_up_nobody_who_comes_after_them() {
    // As many as are served at once, where no commit is shared.
    for (texts_per_commit, stuck) in [("64", 1), ("1", 4)] {
        let test = TestApp::wishing(Wishes {
            settings: &[("MASKLINE_TEXTS_PER_COMMIT", texts_per_commit)],
            ..Wishes::default()
        })
        .await;
        let pairs = pairs(&test, stuck + 1).await;
        let senders: Vec<_> = pairs.iter().map(|[one, _]| one).collect();
        let (free, stuck) = senders.split_last().unwrap();
        let intake = Intake::new(test.app.clone());
        let held = hold(&test, stuck).await;
        let ahead = stuck
            .iter()
            .enumerate()
            .map(|(n, one)| intake.receive(text(&format!("ahead {n}"), one, "my lock is held")));
        let story = async {
            test.lock_waiters(i64::try_from(stuck.len()).unwrap()).await;
            let begun = Instant::now();
            intake.receive(text("free", free, "mine is not")).await.unwrap();
            // The bound is 250 ms; without it they would be given up after 2.25 s.
            assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
            held.commit().await.unwrap();
        };
        let (answered, ()) = tokio::join!(join_all(ahead), story);
        assert!(answered.iter().all(Result::is_ok), "{answered:?}");
        test.deliver().await;
        for ([one, two], says) in pairs
            .iter()
            .zip(std::iter::repeat_n("my lock is held", stuck.len()).chain(["mine is not"]))
        {
            assert_eq!(two.last(), says, "to {:?}", one.number);
        }
    }
}

#[tokio::test]
async fn words_of_many_conversations_lock_no_row_of_the_number_that_they_share() {
    let test = TestApp::start().await;
    let pairs = pairs(&test, 3).await;
    let locked = "select xmax::text from masked_number";
    let before = test.column(locked).await;
    for [one, two] in &pairs {
        one.texts("see you at five").await;
        two.texts("at six").await;
    }
    test.deliver().await;
    for [one, two] in &pairs {
        assert_eq!((one.last(), two.last()), ("at six".into(), "see you at five".into()));
    }
    assert_eq!(test.column(locked).await, before, "nobody locks it, not even to look");
}

#[tokio::test]
async fn a_connection_that_dies_under_a_shared_commit_costs_no_text() {
    let test = TestApp::start().await;
    let pairs = pairs(&test, 4).await;
    let intake = Intake::new(test.app.clone());
    for round in 0..5 {
        let texts = pairs
            .iter()
            .enumerate()
            .map(|(n, [one, _])| text(&format!("{round} {n}"), one, &format!("round {round}")));
        let all = join_all(texts.map(|text| intake.receive(text)));
        let kill = async {
            for _ in 0..round * 20 {
                tokio::task::yield_now().await;
            }
            test.run(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid()
                     and application_name = 'maskline'",
            )
            .await;
        };
        let (answered, ()) = tokio::join!(all, kill);
        for ([one, _], answer) in pairs.iter().zip(answered) {
            if answer.is_err() {
                let n = pairs.iter().position(|[other, _]| other.number == one.number).unwrap();
                let again = text(&format!("{round} {n}"), one, &format!("round {round}"));
                intake.receive(again).await.unwrap();
            }
        }
    }
    find_the_dead(&test).await;
    test.deliver().await;
    for [_, two] in &pairs {
        let heard = two.inbox();
        let rounds: Vec<String> = (0..5).map(|round| format!("round {round}")).collect();
        assert!(heard.ends_with(&rounds), "{heard:?}");
    }
}

#[tokio::test]
async fn a_connection_that_has_served_lies_ready_for_a_moment_only() {
    let test = TestApp::start().await;
    let pairs = pairs(&test, 1).await;
    let intake = Intake::new(test.app.clone());
    let away = || test.app.db.size() as usize - test.app.db.num_idle();
    intake.receive(text("one", &pairs[0][0], "hi")).await.unwrap();
    assert!(away() > 0, "it lies ready");
    let start = Instant::now();
    while away() > 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "it was not given back");
        tokio::task::yield_now().await;
    }
    drop(intake);
    test.deliver().await;
}

/// Asks every connection of the pool at once, so that those that were ended while they lay idle are
/// thrown away. The service goes on by itself; what a test does once must not meet one.
async fn find_the_dead(test: &TestApp) {
    let all = (0..test.app.db.options().get_max_connections()).map(async |_| {
        let mut conn = test.app.db.acquire().await.unwrap();
        conn.ping().await.ok();
        conn
    });
    join_all(all).await;
}
