//! `maskline`: the commands, and nothing else.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use maskline::{cli, demo, telemetry};
use mimalloc::MiMalloc;

/// A call to the carrier allocates often; the system's allocator takes a quarter of its time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Self-hosted number masking for text messages.
///
/// Two people text each other through a masked number; neither ever sees the other's real one.
#[derive(Debug, Parser)]
#[command(version, after_help = "Try it without any configuration:  maskline demo")]
struct Maskline {
    /// A TOML file with settings; the environment wins over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try everything on this computer: two phones in a web page, nothing to configure.
    ///
    /// Starts a PostgreSQL of its own, a simulated Flowroute and the service, on 127.0.0.1 only.
    #[command(after_help = "Example:  maskline demo --no-open --data-dir ./demo-data")]
    Demo(demo::Options),
    /// Run the service: the carrier's webhooks, the worker, health and metrics.
    ///
    /// Any number of processes may serve one database. Each does everything, unless it is told what
    /// to leave to the others.
    #[command(after_help = cli::SERVE_HELP)]
    Serve(cli::ServeOptions),
    /// Bring the database's schema up to this version, as `sqlx migrate run` does.
    ///
    /// Needs the login that owns the tables, or a superuser. So do `audit retain` and `keys seal`; everything
    /// else goes with the service's.
    #[command(after_help = "Example:  DATABASE_URL=postgres://owner@db/maskline maskline migrate")]
    Migrate,
    /// Read the settings, try the database and Flowroute's keys, and say all that is wrong at once.
    #[command(after_help = "Example:  maskline --config maskline.toml check")]
    Check,
    /// Look after the pool of masked numbers.
    #[command(subcommand, after_help = "Example:  maskline numbers add +14155550100")]
    Numbers(cli::numbers::Numbers),
    /// Note opt-outs that did not come by text, and take them back.
    #[command(subcommand, after_help = "Example:  maskline optout list")]
    Optout(cli::optout::OptOut),
    /// See the texts of which nobody knows whether the carrier has them, and decide on them.
    #[command(subcommand, after_help = "Example:  maskline outbox unknown")]
    Outbox(cli::outbox::Outbox),
    /// Export or erase all there is of one person.
    #[command(
        subcommand,
        after_help = "Example:  maskline people erase - --reason \"asked by letter\" --preview"
    )]
    People(cli::people::People),
    /// Keep what a lawsuit or an authority needs from being erased or removed.
    #[command(subcommand, after_help = "Example:  maskline holds list")]
    Holds(cli::holds::Holds),
    /// Look after the keys under which numbers and texts are kept.
    #[command(subcommand, after_help = "Example:  maskline keys rotate")]
    Keys(cli::keys::Keys),
    /// See what staff must look at, and close it.
    #[command(subcommand, after_help = "Example:  maskline tasks list")]
    Tasks(cli::tasks::Tasks),
    /// Prove that no record of the audit trail was changed, and keep what proves it.
    #[command(subcommand, after_help = "Example:  maskline audit verify")]
    Audit(cli::audit::Audit),
    /// Look after the accounts of the console.
    #[command(subcommand, after_help = "Example:  maskline staff add \"Dana Ek\" --role admin")]
    Staff(cli::staff::Staff),
    /// See the open conversations, and change when one ends by itself.
    #[command(subcommand, after_help = "Example:  maskline conversations list")]
    Conversations(cli::conversations::Conversations),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Maskline { config, command } = Maskline::parse();
    telemetry::log();
    let config = config.as_deref();
    let done = match command {
        Command::Demo(options) => demo::run(options).await,
        Command::Serve(options) => cli::serve(config, options).await,
        Command::Migrate => cli::migrate(config).await,
        Command::Check => cli::check(config).await,
        Command::Numbers(command) => cli::numbers::run(config, command).await,
        Command::Optout(command) => cli::optout::run(config, command).await,
        Command::Outbox(command) => cli::outbox::run(config, command).await,
        Command::People(command) => cli::people::run(config, command).await,
        Command::Holds(command) => cli::holds::run(config, command).await,
        Command::Keys(command) => cli::keys::run(config, command).await,
        Command::Tasks(command) => cli::tasks::run(config, command).await,
        Command::Audit(command) => cli::audit::run(config, command).await,
        Command::Staff(command) => cli::staff::run(config, command).await,
        Command::Conversations(command) => cli::conversations::run(config, command).await,
    };
    telemetry::finish();
    cli::exit_code(done)
}
