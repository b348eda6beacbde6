//! The lookout: where several servers are named, it sees which one takes writes, and turns the pool
//! to another when that one fails or is no longer the primary.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::{sync::watch, time::Instant};

use super::servers::{self, Servers};

/// How often it looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks through a connection of its own until the pool is closed. `turned` tells since when the
/// pool's connections must have been made.
pub(super) async fn keep(
    pool: PgPool,
    servers: Servers,
    mut watched: PgConnection,
    turned: watch::Sender<Instant>,
) {
    let mut closed = pool.close_event();
    loop {
        tokio::select! {
            () = &mut closed => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        if servers::is_writable(&mut watched).await {
            continue;
        }
        match servers.find_writable().await {
            Ok((server, conn)) => {
                watched = conn;
                pool.set_connect_options(server);
                turned.send_replace(Instant::now());
                tracing::warn!("the database's primary was lost; connected to the one there is");
            }
            Err(error) => tracing::warn!(%error, "no server takes writes; looking again"),
        }
    }
}
