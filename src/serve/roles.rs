//! What a process of `serve` does. Any of it can be left to other processes on the same database.

use clap::ValueEnum;

/// One of the things that a process of `serve` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Takes the carrier's webhooks in, on the public listener.
    Webhook,
    /// Sends what the outbox holds.
    Worker,
    /// Ends conversations that are due and looks after the pool of numbers.
    Sweeper,
    /// Fetches from the carrier's list what no webhook brought.
    Reconciler,
    /// Fetches pictures from the carrier.
    Fetcher,
    /// Seals the audit trail, and signs and publishes what it is.
    Sealer,
    /// Writes the exports that staff asked for in the console, and removes their files.
    Exporter,
}

impl Role {
    /// Every role, in the order of a text's walk.
    pub const ALL: [Self; 7] = [
        Self::Webhook,
        Self::Worker,
        Self::Sweeper,
        Self::Reconciler,
        Self::Fetcher,
        Self::Sealer,
        Self::Exporter,
    ];

    /// The name that `--without` takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Worker => "worker",
            Self::Sweeper => "sweeper",
            Self::Reconciler => "reconciler",
            Self::Fetcher => "fetcher",
            Self::Sealer => "sealer",
            Self::Exporter => "exporter",
        }
    }

    /// The roles that stay when these are left out.
    pub fn all_but(without: &[Self]) -> Vec<Self> {
        Self::ALL.into_iter().filter(|role| !without.contains(role)).collect()
    }
}
