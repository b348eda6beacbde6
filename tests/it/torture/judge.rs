//! The judge: what the carrier's ledger says became of the words, against our tables.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use maskline::vault::Vault;

use super::world::{World, phone, words};
use crate::support::{MASTER_KEY, opened};

/// What became of all that was said.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Texts that the carrier heard were taken in.
    pub acknowledged: usize,
    /// Of these, the ones that shared a commit with another.
    pub shared: usize,
    /// Different ones of them that the carrier accepted for the other phone.
    pub relayed: usize,
    /// Those that it did not, and that are not marked unknown either, or of which nothing is left.
    pub lost: Vec<String>,
    /// Those that it accepted more than once.
    pub doubled: Vec<String>,
    /// Of these, the ones that it accepted again more often than they were marked unknown.
    pub unflagged: Vec<String>,
    /// Of these, the ones that it accepted again more often than it kept back its answer.
    pub uninjected: Vec<String>,
    /// Those that it accepted for somebody else.
    pub crossed: Vec<String>,
    /// Those that it accepted after a later one of the same lane.
    pub disordered: Vec<String>,
    /// How often any was marked unknown.
    pub unknown: usize,
    /// How often the carrier accepted one and kept back its answer.
    pub unanswered: usize,
    /// Accepted texts of whose ids our tables know nothing, nor that their outcome is unknown.
    pub strange: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, doubled) = (self.lost.len(), self.doubled.len());
        write!(f, "{} acknowledged, {} by a shared commit, ", self.acknowledged, self.shared)?;
        write!(f, "{} relayed, {lost} lost, {doubled} doubled, ", self.relayed)?;
        write!(f, "{} unknown", self.unknown)
    }
}

impl Verdict {
    /// Nothing was lost, nothing came twice unless it was marked, all in order, and all that with
    /// commits that are shared.
    pub fn must_hold(&self) {
        let wrong = [&self.lost, &self.unflagged, &self.crossed, &self.disordered, &self.strange];
        assert!(wrong.iter().all(|these| these.is_empty()), "{self}\n{self:#?}");
        assert!(self.acknowledged > 0, "nobody said anything");
        assert!(self.shared > 0, "no texts shared a commit");
    }
}

/// What our tables say of all that was relayed.
struct Tables {
    /// How often each was marked unknown.
    unknown: HashMap<String, usize>,
    /// What is still in the outbox, or of which the trail says that it will not be sent.
    accounted: HashSet<String>,
    /// The carrier's ids of all that it has accepted, as far as we know.
    accepted: HashSet<String>,
    /// How many inbound texts shared a commit.
    shared: usize,
}

impl Tables {
    async fn read(world: &World) -> Self {
        let relayed = "select r.body, coalesce(fate.unknown, 0),
                o.id is not null or coalesce(fate.ended, 0) > 0
            from audit_record r
            left join (
                select text_id, count(*) filter (where kind = 'unknown') as unknown,
                    count(*) filter (where kind <> 'unknown') as ended
                from audit_record
                where kind <> 'relayed'
                group by text_id
            ) fate on fate.text_id = r.text_id
            left join public.outbox o on o.id = r.text_id
            where r.kind = 'relayed'";
        let kinds = "kind in ('relayed', 'unknown', 'parked', 'failed', 'dropped')";
        let mut tx = world.db.begin().await.unwrap();
        let vault = Vault::open(&mut tx, &MASTER_KEY.parse().unwrap()).await.unwrap();
        opened::open(&mut tx, &vault, relayed, kinds).await;
        let relayed: Vec<(Option<String>, i64, bool)> =
            sqlx::query_as(relayed).fetch_all(&mut *tx).await.unwrap();
        tx.rollback().await.unwrap();
        let (mut unknown, mut accounted) = (HashMap::new(), HashSet::new());
        for (body, times, is_accounted) in relayed {
            let Some(body) = body else { continue };
            if times > 0 {
                unknown.insert(body.clone(), usize::try_from(times).unwrap());
            }
            if is_accounted {
                accounted.insert(body);
            }
        }
        let accepted = "select carrier_id from carrier_message where direction = 'outbound'";
        let accepted = sqlx::query_scalar(accepted).fetch_all(&world.db).await.unwrap();
        let shared = "select coalesce(sum(texts), 0)::bigint
            from (select count(*) as texts from carrier_message
                  where direction = 'inbound' and carrier_id like 'said-%'
                  group by xmin::text) as commits
            where texts > 1";
        let shared: i64 = sqlx::query_scalar(shared).fetch_one(&world.db).await.unwrap();
        Self {
            unknown,
            accounted,
            accepted: accepted.into_iter().collect(),
            shared: usize::try_from(shared).unwrap(),
        }
    }

    fn unknown(&self, body: &str) -> usize {
        self.unknown.get(body).copied().unwrap_or(0)
    }
}

/// All that may have been said: whose word it is, and which.
fn said(world: &World) -> HashMap<String, (usize, u32)> {
    // The last one may have been taken in, and its answer lost.
    let turns = |place| (1..=world.acknowledged(place) + 1).map(move |turn| (place, turn));
    (0..world.places()).flat_map(turns).map(|it| (words(it.0, it.1), it)).collect()
}

/// Judges all that was said in this world.
pub async fn judge(world: &World) -> Verdict {
    let tables = Tables::read(world).await;
    let said = said(world);
    let mut verdict = Verdict {
        unknown: tables.unknown.values().sum(),
        shared: tables.shared,
        ..Verdict::default()
    };
    // How often each was accepted, and how often no answer was given to that.
    let mut times: HashMap<String, (usize, usize)> = HashMap::new();
    let mut last: HashMap<usize, u32> = HashMap::new();
    for sent in world.simulator.ledger().accepted {
        let Some(&(place, turn)) = said.get(&sent.body) else { continue };
        if sent.to != phone(place ^ 1) {
            verdict.crossed.push(sent.body.clone());
        }
        if turn < last.insert(place, turn).unwrap_or(0) {
            verdict.disordered.push(sent.body.clone());
        }
        if !tables.accepted.contains(&sent.id) && tables.unknown(&sent.body) == 0 {
            verdict.strange.push(sent.body.clone());
        }
        let (accepted, unanswered) = times.entry(sent.body).or_default();
        *accepted += 1;
        *unanswered += usize::from(sent.unanswered);
        verdict.unanswered += usize::from(sent.unanswered);
    }
    for place in 0..world.places() {
        for turn in 1..=world.acknowledged(place) {
            let body = words(place, turn);
            verdict.acknowledged += 1;
            let is_shown = tables.unknown(&body) > 0 && tables.accounted.contains(&body);
            match times.get(&body) {
                Some(_) => verdict.relayed += 1,
                None if is_shown => {}
                None => verdict.lost.push(body),
            }
        }
    }
    for (body, (accepted, unanswered)) in times.into_iter().filter(|it| it.1.0 > 1) {
        if accepted - 1 > tables.unknown(&body) {
            verdict.unflagged.push(body.clone());
        }
        if accepted - 1 > unanswered {
            verdict.uninjected.push(body.clone());
        }
        verdict.doubled.push(body);
    }
    verdict
}
