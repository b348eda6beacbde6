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
mod carrier_block;
mod check;
mod codes;
mod consent;
mod conversation;
mod dedupe;
mod demo;
mod gate;
mod guessing;
mod hostile;
mod house;
mod judge;
mod model;
mod moving;
mod numbers;
mod opt_out;
mod optout_command;
mod order;
mod outage;
mod people;
mod pool;
mod privacy;
mod program;
mod reopen;
mod samples;
mod schema;
mod sending;
mod service;
mod settings;
mod states;
mod stuck;
mod support;
mod tasks;
mod time;
mod trail;
mod vectors;
mod webhook;
