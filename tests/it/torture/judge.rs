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
    /// Different ones of them that the carrier accepted for the other phone.
    pub relayed: usize,
    /// Those that it did not, and that are not marked unknown either.
    pub lost: Vec<String>,
    /// Those that it accepted more than once.
    pub doubled: Vec<String>,
    /// Of these, the ones that were never marked unknown.
    pub unflagged: Vec<String>,
    /// Those that it accepted for somebody else.
    pub crossed: Vec<String>,
    /// Those that it accepted after a later one of the same lane.
    pub disordered: Vec<String>,
    /// Those that were marked unknown at some time.
    pub unknown: usize,
    /// Accepted texts of whose ids our tables know nothing, nor that their outcome is unknown.
    pub strange: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, doubled) = (self.lost.len(), self.doubled.len());
        write!(f, "{} acknowledged, {} relayed, ", self.acknowledged, self.relayed)?;
        write!(f, "{lost} lost, {doubled} doubled, {} unknown", self.unknown)
    }
}

impl Verdict {
    /// Nothing was lost, nothing came twice unless it was marked, and all in order.
    pub fn must_hold(&self) {
        let wrong = [&self.lost, &self.unflagged, &self.crossed, &self.disordered, &self.strange];
        assert!(wrong.iter().all(|these| these.is_empty()), "{self}\n{self:#?}");
        assert!(self.acknowledged > 0, "nobody said anything");
    }
}

/// Judges all that was said in this world.
pub async fn judge(world: &World) -> Verdict {
    let flagged = "select distinct r.body
        from audit_record r join audit_record u on u.text_id = r.text_id
        where r.kind = 'relayed' and u.kind = 'unknown'";
    let mut tx = world.db.begin().await.unwrap();
    let vault = Vault::open(&mut tx, &MASTER_KEY.parse().unwrap()).await.unwrap();
    opened::open(&mut tx, &vault, flagged, "kind in ('relayed', 'unknown')").await;
    let flagged: HashSet<String> =
        sqlx::query_scalar(flagged).fetch_all(&mut *tx).await.unwrap().into_iter().collect();
    tx.rollback().await.unwrap();
    let known = "select carrier_id from carrier_message where direction = 'outbound'";
    let known: HashSet<String> =
        sqlx::query_scalar(known).fetch_all(&world.db).await.unwrap().into_iter().collect();

    let mut said: HashMap<String, (usize, u32)> = HashMap::new();
    for place in 0..world.places() {
        // The last one may have been taken in, and its answer lost.
        for turn in 1..=world.acknowledged(place) + 1 {
            said.insert(words(place, turn), (place, turn));
        }
    }
    let mut verdict = Verdict { unknown: flagged.len(), ..Verdict::default() };
    let mut times: HashMap<String, u32> = HashMap::new();
    let mut last: HashMap<usize, u32> = HashMap::new();
    for sent in world.simulator.ledger().accepted {
        let Some(&(place, turn)) = said.get(&sent.body) else { continue };
        if sent.to != phone(place ^ 1) {
            verdict.crossed.push(sent.body.clone());
        }
        if turn < last.insert(place, turn).unwrap_or(0) {
            verdict.disordered.push(sent.body.clone());
        }
        if !known.contains(&sent.id) && !flagged.contains(&sent.body) {
            verdict.strange.push(sent.body.clone());
        }
        *times.entry(sent.body).or_default() += 1;
    }
    for place in 0..world.places() {
        for turn in 1..=world.acknowledged(place) {
            let body = words(place, turn);
            verdict.acknowledged += 1;
            match times.get(&body) {
                Some(_) => verdict.relayed += 1,
                None if flagged.contains(&body) => {}
                None => verdict.lost.push(body),
            }
        }
    }
    let doubled = times.into_iter().filter(|(_, times)| *times > 1).map(|(body, _)| body);
    verdict.doubled = doubled.collect();
    verdict.unflagged =
        verdict.doubled.iter().filter(|body| !flagged.contains(*body)).cloned().collect();
    verdict
}
