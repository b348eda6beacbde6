//! The sealer: gives each record its leaf, in batches, behind the webhooks.
//!
//! One works at a time: whoever locks the row that says how far it is. A record is taken once every
//! transaction that is older has ended, so none can still come before it. A transaction that stays
//! open only delays; no record is passed over, and none is taken twice.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::{
    canonical::{self, Column},
    checkpoint::{self, Outside},
    copy::{self, Writer},
    subtrees,
    tree::{Frontier, Hash},
};
use crate::app::App;

/// How often it looks when nothing was left.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a step may take. A connection that has fallen silent would keep us for ever.
const PATIENCE: Duration = Duration::from_mins(2);
/// How many records it takes at once.
const BATCH: u64 = 10_000;
/// How many transactions it looks at together at first, and at most. All that is in them is sorted for
/// one batch, so there are fewer where much waits in each.
const WIDTH: i64 = 10_000;
const WIDEST: i64 = 1 << 40;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Another process seals.
    Others,
    /// So many records were sealed, and more may be waiting.
    More(u64),
    /// So many were sealed, and all that can be is.
    Done(u64),
}

/// Seals what is due, batch by batch.
#[derive(Debug)]
pub struct Sealer {
    app: App,
    width: i64,
    /// Whether it has looked for records that another server's transactions wrote.
    has_looked_for_strangers: bool,
    /// Whether the last step failed, which is said once.
    failing: bool,
    /// What is kept outside, as far as it has looked.
    outside: Option<Outside>,
}

/// How far it is, as the locked row says.
struct Place {
    tree: Frontier,
    watermark: i64,
    is_old_done: bool,
    /// Older than every transaction that runs.
    horizon: i64,
    /// Younger than every transaction that has ended.
    newest: i64,
}

impl Sealer {
    /// Makes one.
    pub fn new(app: App) -> Self {
        Self { app, width: WIDTH, has_looked_for_strangers: false, failing: false, outside: None }
    }

    /// Seals and signs until the app is draining.
    pub async fn run(mut self) {
        let mut next_checkpoint = Instant::now();
        while !self.app.draining.is_cancelled() {
            let step = self.tick().await;
            if next_checkpoint <= Instant::now() && step.is_some_and(|step| step != Step::Others) {
                next_checkpoint = Instant::now() + checkpoint::EVERY;
                checkpoint::tick(&self.app, &mut self.outside).await;
            }
            if let Some(Step::More(_)) = step {
                continue;
            }
            tokio::select! {
                () = self.app.draining.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Takes a step, and says how it went.
    async fn tick(&mut self) -> Option<Step> {
        let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        let step = match tokio::time::timeout(PATIENCE, self.step()).await.map_err(late) {
            Ok(step) => step,
            Err(late) => Err(late.into()),
        };
        match &step {
            Err(error) if !self.failing => {
                tracing::error!(%error, "the audit trail is not sealed; trying again each second");
            }
            Ok(_) if self.failing => tracing::info!("the audit trail is sealed again"),
            _ => {}
        }
        self.failing = step.is_err();
        step.ok()
    }

    /// Seals one batch.
    ///
    /// # Errors
    /// The database's; nothing has changed then.
    pub async fn step(&mut self) -> sqlx::Result<Step> {
        let mut tx = self.app.db.begin().await?;
        let Some(mut place) = place(&mut tx).await? else { return Ok(Step::Others) };
        let columns = canonical::columns(&mut tx).await?;
        let before = place.tree.size();
        let step = self.seal(&mut tx, &columns, &mut place).await?;
        let sealed = place.tree.size() - before;
        subtrees::grow(&mut tx, place.tree.size()).await?;
        sqlx::query!(
            "update audit_seal
             set size = $1, frontier = $2, watermark = $3, is_old_done = $4,
                 unsigned_since = case when $5 then coalesce(unsigned_since, clock_timestamp())
                     else unsigned_since end
             where size is distinct from $1 or watermark is distinct from $3
                 or is_old_done is distinct from $4",
            place.tree.size().cast_signed(),
            place.tree.to_bytes(),
            place.watermark,
            place.is_old_done,
            sealed > 0,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        metrics::counter!("maskline_audit_sealed_total").increment(sealed);
        Ok(if step { Step::More(sealed) } else { Step::Done(sealed) })
    }

    /// Seals one batch of the oldest that are left. True when more may be.
    async fn seal(
        &mut self,
        conn: &mut PgConnection,
        columns: &[Column],
        place: &mut Place,
    ) -> sqlx::Result<bool> {
        if !place.is_old_done {
            let (sealed, _) = batch(conn, columns, &mut place.tree, OLD).await?;
            place.is_old_done = sealed < BATCH;
            return Ok(true);
        }
        // Only a server that the database was restored on has not come so far yet: its transactions
        // are counted from the beginning again, and those of the records mean nothing.
        if place.watermark > place.newest {
            place.watermark = 0;
        }
        if !self.has_looked_for_strangers {
            let (sealed, _) = batch(conn, columns, &mut place.tree, STRANGE).await?;
            self.has_looked_for_strangers = sealed < BATCH;
            return Ok(true);
        }
        let to = place.horizon.min(place.watermark.saturating_add(self.width));
        if to <= place.watermark {
            return Ok(false);
        }
        let between = format!("{XID} >= {} and {XID} < {to}", place.watermark);
        let (sealed, last) = batch(conn, columns, &mut place.tree, &between).await?;
        place.watermark = if sealed < BATCH { to } else { last };
        self.width = next_width(self.width, sealed);
        Ok(place.watermark < place.horizon)
    }
}

/// How many transactions to look at together after a look that found so many records: fewer where it
/// found more than a batch, which it had to sort in vain.
fn next_width(width: i64, sealed: u64) -> i64 {
    if sealed < BATCH { (width * 2).min(WIDEST) } else { (width / 2).max(1) }
}

/// A record's transaction, as the index has it.
const XID: &str = "(r.xid::text::bigint)";
/// The records that were there before sealing began: they go first, in their order.
const OLD: &str = "r.xid is null and (r.at, r.id) > (
    coalesce((select at from audit_leaf order by index desc limit 1), '-infinity'),
    coalesce((select id from audit_leaf order by index desc limit 1),
        '00000000-0000-0000-0000-000000000000'))";
/// Those of transactions that this server has not come to: a restored database's.
const STRANGE: &str =
    "(r.xid::text::bigint) >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

/// Locks the row that says how far the sealing is; none while another has it.
async fn place(conn: &mut PgConnection) -> sqlx::Result<Option<Place>> {
    let Some(seal) = sqlx::query!(
        "select size, frontier, watermark, is_old_done from audit_seal for update skip locked"
    )
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(None);
    };
    // No column may come in between the look at them and the records.
    sqlx::query!("lock table audit_record in access share mode").execute(&mut *conn).await?;
    // Asked for once the row is locked, so that it is as new as the row.
    let now = sqlx::query!(
        r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "horizon!",
               pg_snapshot_xmax(pg_current_snapshot())::text::bigint as "newest!",
               (select coalesce(max(index) + 1, 0) from audit_leaf) as "leaves!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    let size = seal.size.cast_unsigned();
    let tree = Frontier::read(size, &seal.frontier).filter(|_| seal.size == now.leaves);
    let tree = match tree {
        Some(tree) => tree,
        None => grow_again(conn).await?,
    };
    Ok(Some(Place {
        tree,
        watermark: seal.watermark,
        is_old_done: seal.is_old_done,
        horizon: now.horizon,
        newest: now.newest,
    }))
}

/// Makes the frontier from the leaves, where what is stored is not theirs.
async fn grow_again(conn: &mut PgConnection) -> sqlx::Result<Frontier> {
    tracing::error!("what the sealer stored does not fit its leaves: run `maskline audit verify`");
    let mut tree = Frontier::default();
    copy::read(conn, "select hash from audit_leaf order by index", |row| {
        let hash = row.first().copied().flatten().and_then(Hash::read);
        tree.push(hash.ok_or_else(copy::malformed)?);
        Ok(())
    })
    .await?;
    Ok(tree)
}

/// Seals the first records of which this holds: how many, and the transaction of the last.
async fn batch(
    conn: &mut PgConnection,
    columns: &[Column],
    tree: &mut Frontier,
    which: &str,
) -> sqlx::Result<(u64, i64)> {
    let list = canonical::list(columns);
    // An order that an index has, so that old ones are not sorted for each batch.
    let order = if which == OLD { "r.at" } else { XID };
    let query = format!(
        "select {XID}, r.at, r.id, {list}
         from audit_record r
         where {which}
             and not exists (select from audit_leaf l where l.at = r.at and l.id = r.id)
         order by {order}, r.at, r.id
         limit {BATCH}"
    );
    let (mut leaves, mut newest) = (Writer::new(), 0);
    let found = copy::read(conn, &query, |row| {
        let [xid, Some(at), Some(id), values @ ..] = row else { return Err(copy::malformed()) };
        newest = xid.and_then(|xid| xid.try_into().ok()).map_or(0, i64::from_be_bytes);
        let hash = canonical::leaf_of_sent(columns, values).ok_or_else(copy::malformed)?;
        leaves.push(&[&tree.size().to_be_bytes(), at, id, &hash.0]);
        tree.push(hash);
        Ok(())
    })
    .await?;
    if found > 0 {
        leaves.write(conn, "audit_leaf (index, at, id, hash)").await?;
    }
    Ok((found, newest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_at_few_transactions_where_each_wrote_much() {
        // As many as make a batch, within a factor of two, however much each wrote.
        for each in [1_u64, 7, 300, 2_200, 10_000, 1_000_000] {
            let mut width = WIDTH;
            for _ in 0..100 {
                let found = each * width.unsigned_abs();
                width = next_width(width, found.min(BATCH));
            }
            let found = each * width.unsigned_abs();
            assert!(width == 1 || found < 2 * BATCH, "{each}: {width}");
            assert!(found >= BATCH / 2, "{each}: {width}");
        }
        let idle = (0..200).fold(1, |width, _| next_width(width, 0));
        assert_eq!(idle, WIDEST, "and at all there are where nothing is written");
    }
}
