//! `maskline serve`: the service, until it is told to stop.

use std::{path::Path, pin::pin};

use clap::Args;

use super::{Done, Failure, away};
use crate::{
    config::Settings,
    database, http,
    serve::{self, Role, Service},
};

/// The examples under `maskline serve --help`.
pub const SERVE_HELP: &str = "\
Needs DATABASE_URL, MASKLINE_PUBLIC_URL, MASKLINE_WEBHOOK_SECRETS, MASKLINE_MASTER_KEY,
FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY, in the environment or in a file. `maskline check` says what is missing. The login in
DATABASE_URL must not own the tables, nor be a superuser: create role maskline_serve login password '…' in role maskline_app;

Example:  maskline --config /etc/maskline.toml serve
          maskline serve --without worker --without sweeper    only takes webhooks in
          maskline serve --without webhook                     opens no public listener";

/// What a process of `serve` is told.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// What to leave to other processes on the same database; may be repeated.
    #[arg(long, value_enum, value_name = "ROLE", value_delimiter = ',')]
    without: Vec<Role>,
}

/// Runs the service until SIGTERM or Ctrl-C, then drains.
///
/// # Errors
/// What keeps it from starting.
pub async fn serve(config: Option<&Path>, options: ServeOptions) -> Done {
    let mut stop = pin!(serve::stop_signal());
    let service = tokio::select! {
        started = start(config, &options) => started?,
        // Nothing has been begun.
        () = &mut stop => return Ok(()),
    };
    let public = service.public.map(tracing::field::display);
    tracing::info!(public, private = %service.private, "maskline serves");
    stop.await;
    tracing::info!("draining: nothing new is begun");
    if !service.drain().await {
        tracing::warn!("something was cut off after the time for draining; it is in the database");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Starts the service.
async fn start(config: Option<&Path>, options: &ServeOptions) -> Result<Service, Failure> {
    let settings = Settings::read(config)?;
    http::open_many();
    let db = database::connect(&settings.database_url).await.map_err(|error| away(&error))?;
    let public = if options.without.contains(&Role::Webhook) {
        None
    } else {
        Some(serve::bind(settings.listen).await?)
    };
    let private = serve::bind(settings.admin_listen).await?;
    if settings.audit.signer.is_none() && !options.without.contains(&Role::Sealer) {
        tracing::warn!(
            "MASKLINE_AUDIT_KEY is not set: the audit trail is sealed but not signed, and whoever owns the database could seal it anew"
        );
    }
    Ok(Service::start(db, settings, public, private, &options.without).await?)
}
