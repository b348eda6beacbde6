//! The walk along the sealed trail: every leaf with its record, in order, and every checkpoint.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    bare,
    canonical::{self, Column, Type},
    copy,
    finding::{Finding, Who},
    pace::Pace,
    removal,
    tree::Hash,
    verify::{Judge, Leaf, Report},
};

/// How many leaves are fetched at once.
const BATCH: u32 = 20_000;

/// What is met on the walk.
pub(super) enum Met<'a> {
    /// A leaf, and the record's values, all null where it is gone.
    Leaf(&'a Leaf, &'a [Option<&'a [u8]>]),
    /// A checkpoint: all leaves that it speaks of, as far as they are there, were met.
    Checkpoint { size: u64, root: Option<Hash>, note: &'a str },
}

/// A checkpoint as it is stored.
struct Stored {
    size: i64,
    root: Vec<u8>,
    note: String,
}

/// The next leaves: the last of them, and the times between which their records lie.
struct Next {
    last: i64,
    from: Option<String>,
    to: Option<String>,
}

/// Verifies a database's trail. `progress` is told how many leaves were seen, and of how many.
///
/// The walk takes many statements, so that it holds up nobody. Where a month was removed meanwhile, its
/// records may have been looked for in vain before its manifest was there: then all is walked once more.
///
/// # Errors
/// The database's.
pub async fn verify(
    conn: &mut PgConnection,
    judge: Judge,
    mut progress: impl FnMut(u64, u64),
) -> sqlx::Result<Report> {
    let columns = canonical::columns(conn).await?;
    let mut manifests = removal::manifests(conn).await?;
    let mut report = loop {
        let report = once(conn, &columns, &manifests, judge.clone(), &mut progress).await?;
        let now = removal::manifests(conn).await?;
        if now == manifests {
            break report;
        }
        manifests = now;
    };
    for finding in &mut report.findings {
        locate(conn, finding).await?;
    }
    Ok(report)
}

/// Judges all there is by these manifests.
async fn once(
    conn: &mut PgConnection,
    columns: &[Column],
    manifests: &[String],
    mut judge: Judge,
    progress: impl FnMut(u64, u64),
) -> sqlx::Result<Report> {
    for manifest in manifests {
        judge.removed(manifest);
    }
    walk(conn, columns, progress, |met| {
        match met {
            Met::Leaf(leaf, _) => judge.leaf(leaf),
            Met::Checkpoint { size, root, note } => judge.checkpoint(size, root, note),
        }
        Ok(())
    })
    .await?;
    let unsealed = bare::find(conn, &mut judge).await?;
    Ok(Report { unsealed, ..judge.end() })
}

/// Goes from the first leaf to the last and shows all to `meet`.
pub(super) async fn walk(
    conn: &mut PgConnection,
    columns: &[Column],
    mut progress: impl FnMut(u64, u64),
    mut meet: impl FnMut(Met<'_>) -> sqlx::Result<()>,
) -> sqlx::Result<()> {
    // A batch is sorted in memory, and read by one core.
    sqlx::query!(
        "select set_config('work_mem', '64MB', false) as a,
             set_config('max_parallel_workers_per_gather', '0', false) as b"
    )
    .fetch_one(&mut *conn)
    .await?;
    let mut pace = Pace::begin(conn).await?;
    let total =
        sqlx::query_scalar!(r#"select coalesce(max(index) + 1, 0) as "total!" from audit_leaf"#)
            .fetch_one(&mut *conn)
            .await?;
    let mut at = 0;
    loop {
        let Some(next) = next(conn, at, pace.batch(BATCH)).await? else {
            let beyond = checkpoints(conn, at, i64::MAX).await?;
            // They count leaves that are not there, unless those were sealed and signed just now.
            if !beyond.is_empty() && next(conn, at, 1).await?.is_some() {
                continue;
            }
            return beyond.iter().try_for_each(|checkpoint| meet(met(checkpoint)));
        };
        let to = next.last + 1;
        let stored = checkpoints(conn, at, to).await?;
        let mut stored = stored.iter().peekable();
        copy::read(conn, &select(columns, at, &next), |row| {
            let leaf = leaf(columns, row).ok_or_else(copy::malformed)?;
            meet(Met::Leaf(&leaf, row.get(HEAD..).unwrap_or_default()))?;
            while let Some(checkpoint) =
                stored.next_if(|checkpoint| checkpoint.size.cast_unsigned() <= leaf.index + 1)
            {
                meet(met(checkpoint))?;
            }
            Ok(())
        })
        .await?;
        at = to;
        progress(at.cast_unsigned(), total.cast_unsigned());
        pace.rest(conn).await?;
    }
}

fn met(stored: &Stored) -> Met<'_> {
    Met::Checkpoint {
        size: stored.size.cast_unsigned(),
        root: Hash::read(&stored.root),
        note: &stored.note,
    }
}

async fn next(conn: &mut PgConnection, at: i64, batch: u32) -> sqlx::Result<Option<Next>> {
    // A time that this form does not hold bounds nothing.
    let found = sqlx::query!(
        r#"select max(index) as last,
               case when min(at) > '0001-01-01' and max(at) < '9999-12-31'
                   then to_char(min(at) at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US')
               end as from,
               case when min(at) > '0001-01-01' and max(at) < '9999-12-31'
                   then to_char(max(at) at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US')
               end as to
           from (select index, at from audit_leaf where index >= $1 order by index limit $2) next"#,
        at,
        i64::from(batch),
    )
    .fetch_one(conn)
    .await?;
    Ok(found.last.map(|last| Next { last, from: found.from, to: found.to }))
}

async fn checkpoints(conn: &mut PgConnection, over: i64, to: i64) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        "select size, root, note
         from audit_checkpoint
         where size > $1 and size <= $2
         order by size
         limit 100000",
        over,
        to,
    )
    .fetch_all(conn)
    .await
}

/// How many columns stand before the record's own.
pub(super) const HEAD: usize = 6;

/// The leaves from a place on, with their records. The times are said once more, so that only the
/// partitions are read that matter, and each in the order of its key.
fn select(columns: &[Column], from: i64, next: &Next) -> String {
    let between = match (&next.from, &next.to) {
        (Some(from), Some(to)) => format!("and r.at between '{from}+00' and '{to}+00'"),
        _ => String::new(),
    };
    format!(
        "select l.index, l.hash, l.at, l.id, r.xid::text::bigint, r.id is not null, {}
         from audit_leaf l
         left join audit_record r on r.at = l.at and r.id = l.id {between}
         where l.index >= {from} and l.index <= {}
         order by l.index",
        canonical::list(columns),
        next.last,
    )
}

/// The same of these leaves only.
pub(super) fn select_some(columns: &[Column], leaves: &[u64]) -> String {
    let leaves: Vec<String> = leaves.iter().map(u64::to_string).collect();
    format!(
        "select l.index, l.hash, l.at, l.id, r.xid::text::bigint, r.id is not null, {}
         from audit_leaf l
         left join audit_record r on r.at = l.at and r.id = l.id
         where l.index = any('{{{}}}')
         order by l.index",
        canonical::list(columns),
        leaves.join(","),
    )
}

pub(super) fn leaf(columns: &[Column], row: &[Option<&[u8]>]) -> Option<Leaf> {
    let [Some(index), Some(hash), Some(at), Some(id), xid, Some(is_there), values @ ..] = row
    else {
        return None;
    };
    let at = Type::Time.canonical(at)?;
    Some(Leaf {
        index: u64::from_be_bytes((*index).try_into().ok()?),
        hash: Hash::read(hash)?,
        record: match is_there {
            [1] => Some(canonical::leaf_of_sent(columns, values)?),
            _ => None,
        },
        who: Who {
            at: i64::from_be_bytes(at.as_ref().try_into().ok()?),
            id: Uuid::from_slice(id).ok()?,
        },
        xid: xid.and_then(|xid| xid.try_into().ok()).map(i64::from_be_bytes),
    })
}

/// Says of a finding which record it is and where that lies or would.
async fn locate(conn: &mut PgConnection, finding: &mut Finding) -> sqlx::Result<()> {
    let found = sqlx::query!(
        r#"select (extract(epoch from l.at) * 1000000)::bigint as "at!", l.id
           from audit_leaf l
           where l.index = $1 and isfinite(l.at)"#,
        finding.index.map(u64::cast_signed),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if finding.who.is_none() {
        finding.who = found.map(|found| Who { at: found.at, id: found.id });
    }
    let Some(who) = finding.who else { return Ok(()) };
    let time = jiff::Timestamp::from_microsecond(who.at).unwrap_or_default();
    finding.partition = sqlx::query_scalar!(
        "select coalesce(
             (select tableoid::regclass::text from audit_record where at = $1 and id = $2 limit 1),
             to_char($1 at time zone 'utc', '\"audit_record_\"YYYY_MM'))",
        jiff_sqlx::ToSqlx::to_sqlx(time) as _,
        who.id,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}
