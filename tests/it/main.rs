//! One test binary, files named for behaviour. Real PostgreSQL, real HTTP, the simulated carrier.

#![expect(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "tests")]

mod browser;
mod conversation;
mod demo;
mod house;
mod judge;
mod opt_out;
mod order;
mod sending;
mod service;
mod support;
