//! The way out: Flowroute's client, and what it puts on the wire.

pub mod client;
pub mod simulator;
pub mod wire;

pub use client::{Flowroute, Outgoing, SendError};
