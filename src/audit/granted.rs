//! What staff have granted to be removed: one account asked in the console, another granted it. The owner of the
//! trail carries it out and notes here what stays, and why; what was removed stands beside its manifest.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::ids::RemovalRequestId;

/// A month that may be removed, as far as staff have a say.
#[derive(Debug)]
pub struct Granted {
    /// The request.
    pub request: RemovalRequestId,
    /// The month, such as 2026-03.
    pub month: String,
    /// The case that it is for.
    pub matter: String,
    /// Who asked.
    pub asked_by: String,
    /// Who granted it.
    pub granted_by: String,
}

/// Lists what is granted and still there, the oldest month in front.
///
/// # Errors
/// The database's.
pub async fn list(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<Vec<Granted>> {
    sqlx::query_as!(
        Granted,
        r#"select q.id as request, to_char(m.month, 'YYYY-MM') as "month!", q.matter,
               asker.name as asked_by, granter.name as granted_by
           from removal_request q
           join removal_month m on m.request_id = q.id
           join staff asker on asker.id = q.asked_by
           join staff granter on granter.id = q.decided_by
           where q.is_granted and q.open_until > $1
               and not exists (select from audit_removal gone where gone.month = m.month)
           order by m.month, q.decided_at, q.id"#,
        now.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await
}

/// Notes why one of them stays for now. Only the trail's owner may.
///
/// # Errors
/// The database's.
pub async fn stays(
    conn: &mut PgConnection,
    granted: &Granted,
    why: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update removal_month set stayed_at = $3, stayed_because = $4
         where request_id = $1 and month = $2::text::date",
        granted.request as _,
        format!("{}-01", granted.month),
        now.to_sqlx() as _,
        why,
    )
    .execute(conn)
    .await?;
    Ok(())
}
