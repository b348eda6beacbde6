//! Retention: whole months that are old are removed, and their leaves stay.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::{
    canonical, checkpoint, copy, holds,
    note::{Checkpoint, Signer},
    publish::Target,
    removal::{FORMAT, Manifest},
    tree::Hash,
};
use crate::{clock::SqlTimestamp, ids::RemovalRequestId};

/// A month that is old enough.
#[derive(Debug, Clone)]
pub struct Month {
    /// Its name, such as 2026-03.
    pub name: String,
    /// When it began.
    pub from: Timestamp,
    /// When it was over.
    pub until: Timestamp,
    /// How many records it has.
    pub records: i64,
    /// How many of them are not sealed.
    pub unsealed: i64,
    /// The last leaf of them.
    pub last: Option<i64>,
    /// The matters whose holds keep it.
    pub held: Vec<String>,
}

impl Month {
    /// Why it stays for now; nothing where it may be removed.
    pub fn stays(&self) -> Option<String> {
        if !self.held.is_empty() {
            Some(format!("under legal hold for {}", self.held.join(", ")))
        } else if self.unsealed > 0 {
            Some(format!("{} records are not sealed", self.unsealed))
        } else {
            None
        }
    }
}

/// Why a month was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// The database could not be used.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// A record is not what was sealed, or was not sealed.
    #[error(
        "a record of {0} is not sealed, or is not what was sealed: run `maskline audit verify`"
    )]
    NotSealed(String),
    /// No checkpoint counts all of its records.
    #[error("no signed checkpoint counts all records of {0} yet: run `maskline audit checkpoint`")]
    NotCovered(String),
    /// A place was not given such a checkpoint.
    #[error(
        "a place of MASKLINE_AUDIT_CHECKPOINTS was not given a checkpoint that counts {0} yet: is `maskline serve` running, and can it reach that place?"
    )]
    NotPublished(String),
    /// A hold came in between.
    #[error("{0} is under a legal hold")]
    Held(String),
    /// Another run was faster.
    #[error("{0} was removed meanwhile")]
    Gone(String),
    /// The manifest could not be made.
    #[error("the manifest: {0}")]
    Manifest(#[from] serde_json::Error),
}

/// Whether this role may remove months.
///
/// # Errors
/// The database's.
pub async fn is_owner(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select pg_has_role(relowner, 'usage') as "is!"
           from pg_class where oid = 'audit_record'::regclass"#
    )
    .fetch_one(conn)
    .await
}

/// The months that ended so many whole months ago, oldest first.
///
/// # Errors
/// The database's.
pub async fn due(conn: &mut PgConnection, keep: u32, now: Timestamp) -> sqlx::Result<Vec<Month>> {
    let rows = sqlx::query!(
        r#"select to_char(m.month, 'YYYY-MM') as "name!", m.from as "from!", m.until as "until!",
               count(r.id) as "records!", count(r.id) filter (where l.index is null) as "unsealed!",
               max(l.index) as last
           from (
               select month, month at time zone 'utc' as "from",
                   (month + interval '1 month') at time zone 'utc' as until
               from pg_inherits i
               join pg_class c on c.oid = i.inhrelid
               cross join lateral (
                   select to_timestamp(right(c.relname, 7), 'YYYY_MM')::timestamp as month
                   where c.relname ~ '^audit_record_[0-9]{4}_[0-9]{2}$'
               ) named
               where i.inhparent = 'audit_record'::regclass
                   and month < date_trunc('month', $1::timestamptz at time zone 'utc')
                       - make_interval(months => $2)
           ) m
           left join audit_record r on r.at >= m.from and r.at < m.until
           left join audit_leaf l on l.at = r.at and l.id = r.id
           group by m.month, m.from, m.until
           order by m.month"#,
        now.to_sqlx() as _,
        i32::try_from(keep).unwrap_or(i32::MAX),
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut months = Vec::new();
    for row in rows {
        let (from, until) = (SqlTimestamp::to_jiff(row.from), SqlTimestamp::to_jiff(row.until));
        let held = holds::on_time(conn, from, until).await?;
        let (records, unsealed, last) = (row.records, row.unsealed, row.last);
        months.push(Month { name: row.name, from, until, records, unsealed, last, held });
    }
    Ok(months)
}

/// How many records are as old and lie in no month of their own, where nothing removes them.
///
/// # Errors
/// The database's.
pub async fn strays(conn: &mut PgConnection, keep: u32, now: Timestamp) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from audit_record_default
           where at < (date_trunc('month', $1::timestamptz at time zone 'utc')
               - make_interval(months => $2)) at time zone 'utc'"#,
        now.to_sqlx() as _,
        i32::try_from(keep).unwrap_or(i32::MAX),
    )
    .fetch_one(conn)
    .await
}

/// By whom, with which key, by which rule, and where checkpoints are kept.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Who removes it.
    pub by: &'a str,
    /// Who signs the manifest.
    pub signer: &'a Signer,
    /// For how many months records are kept.
    pub keep: u32,
    /// Places that must have been given a checkpoint.
    pub targets: &'a [Target],
}

/// Looks at a month once more, with nobody adding to it, and signs what is to be removed. The caller
/// keeps that outside before `remove` and commit.
///
/// # Errors
/// Why it stays.
pub async fn manifest(
    conn: &mut PgConnection,
    month: &Month,
    terms: Terms<'_>,
    now: Timestamp,
) -> Result<(String, Manifest), RetainError> {
    let first = format!("{}-01", month.name);
    // One at a time removes: whoever comes second sees what is gone, and does not run into it.
    sqlx::query!("select pg_advisory_xact_lock(hashtext('audit_retain')) as done")
        .fetch_one(&mut *conn)
        .await?;
    let is_gone = sqlx::query_scalar!(
        r#"select exists (select from audit_removal where month = $1::text::date) as "is_gone!""#,
        first,
    );
    if is_gone.fetch_one(&mut *conn).await? {
        return Err(RetainError::Gone(month.name.clone()));
    }
    holds::freeze(conn).await?;
    sqlx::query!("select audit_lock_month($1::text::date) as done", first)
        .fetch_one(&mut *conn)
        .await?;
    if !holds::on_time(conn, month.from, month.until).await?.is_empty() {
        return Err(RetainError::Held(month.name.clone()));
    }
    let (leaves, records, sha256) = leaves(conn, month).await?;
    let size = leaves.last().map_or(0, |(_, last)| last + 1);
    let covering = checkpoint::newest(conn).await?.and_then(|(_, _, note)| {
        Checkpoint::open(&note, &[terms.signer.verifier()]).ok().filter(|it| it.size >= size)
    });
    let covering = covering.ok_or_else(|| RetainError::NotCovered(month.name.clone()))?;
    for target in terms.targets {
        let given = sqlx::query_scalar!(
            "select size from audit_published where target = $1",
            &target.digest()[..],
        )
        .fetch_optional(&mut *conn)
        .await?;
        if given.is_none_or(|given| given.cast_unsigned() < size) {
            return Err(RetainError::NotPublished(month.name.clone()));
        }
    }
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        origin: terms.signer.name().to_owned(),
        month: month.name.clone(),
        records,
        leaves,
        leaves_sha256: sha256.to_string(),
        checkpoint_size: covering.size,
        checkpoint_root: covering.root.to_string(),
        kept_months: terms.keep,
        removed_at: now,
        removed_by: terms.by.to_owned(),
    };
    Ok((manifest.sign(terms.signer)?, manifest))
}

/// The leaves of a month, each of which fits its record.
async fn leaves(
    conn: &mut PgConnection,
    month: &Month,
) -> Result<(Vec<(u64, u64)>, u64, Hash), RetainError> {
    let columns = canonical::columns(conn).await?;
    let query = format!(
        "select l.index, l.hash, {}
         from audit_record r
         left join audit_leaf l on l.at = r.at and l.id = r.id
         where r.at >= '{}' and r.at < '{}'
         order by l.index",
        canonical::list(&columns),
        month.from,
        month.until,
    );
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let (mut hasher, mut is_sealed) = (Sha256::new(), true);
    let records = copy::read(conn, &query, |row| {
        let [index, hash, values @ ..] = row else { return Err(copy::malformed()) };
        let index = index.and_then(|it| it.try_into().ok()).map(u64::from_be_bytes);
        let hash = hash.and_then(Hash::read);
        let now = canonical::leaf_of_sent(&columns, values);
        let Some((index, hash)) = index.zip(hash.filter(|hash| Some(*hash) == now)) else {
            is_sealed = false;
            return Ok(());
        };
        hasher.update(hash.0);
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => runs.push((index, index)),
        }
        Ok(())
    })
    .await?;
    if !is_sealed {
        return Err(RetainError::NotSealed(month.name.clone()));
    }
    Ok((runs, records, Hash(hasher.finalize().into())))
}

/// Removes a month of which this is the manifest, and notes by which request, if by any.
///
/// # Errors
/// The database's, such as that this role is not the owner.
pub async fn remove(
    conn: &mut PgConnection,
    note: &str,
    manifest: &Manifest,
    request: Option<RemovalRequestId>,
) -> sqlx::Result<()> {
    let month = format!("{}-01", manifest.month);
    sqlx::query!(
        "insert into audit_removal (month, records, at, manifest, request_id)
         values ($1::text::date, $2, $3, $4, $5)",
        month,
        manifest.records.cast_signed(),
        manifest.removed_at.to_sqlx() as _,
        note,
        request as _,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("select audit_drop_month($1::text::date) as done", month).fetch_one(conn).await?;
    Ok(())
}
