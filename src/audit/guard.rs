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

/// Puts the guard back where it is missing: at which tables it was.
///
/// # Errors
/// The database's, such as that this role may not.
pub async fn guard_again(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(r#"select guarded::text as "table!" from audit_guard_again() guarded"#)
        .fetch_all(conn)
        .await
}
