//! The way out: Flowroute's client, and what it puts on the wire.

mod account;
pub mod client;
mod list;
mod listed;
pub mod simulator;
pub mod wire;

pub use account::AccountError;
pub use client::{Flowroute, Outgoing, SendError};
pub use list::ListError;
pub use listed::{Listed, Sent};
