//! One test binary, files named for behaviour. Real PostgreSQL, real HTTP, the simulated carrier.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of the tests fails the test, as the tests themselves do"
)]
#![expect(unreachable_pub, reason = "what support.rs shows is for this binary alone")]
#![expect(clippy::similar_names, reason = "a test posts a text")]

mod append_only;
mod browser;
mod check;
mod codes;
mod conversation;
mod dedupe;
mod demo;
mod gate;
mod house;
mod judge;
mod opt_out;
mod order;
mod outage;
mod privacy;
mod samples;
mod schema;
mod sending;
mod service;
mod settings;
mod stuck;
mod support;
mod trail;
mod webhook;
