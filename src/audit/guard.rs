//! The guard: triggers on every table of the trail that refuse to change it.

use sqlx::PgConnection;

/// The tables of the trail that nothing guards.
///
/// # Errors
/// The database's.
pub async fn unguarded(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(r#"select unguarded::text as "table!" from audit_unguarded() unguarded"#)
        .fetch_all(conn)
        .await
}

/// The months, of this one and the two after it, that have no partition of their own. Their records
/// go into the default partition.
///
/// # Errors
/// The database's.
pub async fn missing_months(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select name as "name!"
           from generate_series(0, 2) ahead,
               to_char(
                   date_trunc('month', clock_timestamp() at time zone 'utc')
                       + make_interval(months => ahead),
                   '"audit_record_"YYYY_MM'
               ) name
           where to_regclass(name) is null
           order by name"#
    )
    .fetch_all(conn)
    .await
}

/// Puts the guard back where it is missing: at which tables it was.
///
/// # Errors
/// The database's, such as that this role may not.
pub async fn guard_again(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(r#"select guarded::text as "table!" from audit_guard_again() guarded"#)
        .fetch_all(conn)
        .await
}
