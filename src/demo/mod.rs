//! The demo.

mod home;
mod installed;
pub mod postgres;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {}

/// Runs the demo.
///
/// # Errors
/// Never yet.
pub async fn run(_: Options) -> crate::cli::Done {
    Ok(())
}
