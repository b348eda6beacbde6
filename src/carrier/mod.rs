//! The way out: Flowroute's client, and what it puts on the wire.

mod account;
pub mod client;
pub mod simulator;
pub mod wire;

pub use account::AccountError;
pub use client::{Flowroute, Outgoing, SendError};
