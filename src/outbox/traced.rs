//! The traces that promised texts go on with.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::TextId;

/// Keeps with texts which trace called for them, so that their sending stands in it. Costs nothing
/// where no trace is written.
pub async fn keep_traces(conn: &mut PgConnection, traces: &[(TextId, &str)]) -> sqlx::Result<()> {
    if traces.is_empty() {
        return Ok(());
    }
    let (ids, traceparents): (Vec<Uuid>, Vec<String>) =
        traces.iter().map(|(id, traceparent)| (id.uuid(), (*traceparent).to_owned())).unzip();
    sqlx::query!(
        "update outbox o
         set traceparent = traced.traceparent
         from unnest($1::uuid[], $2::text[]) as traced (id, traceparent)
         where o.id = traced.id",
        &ids,
        &traceparents,
    )
    .execute(conn)
    .await?;
    Ok(())
}
