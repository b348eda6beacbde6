//! One test binary, files named for behaviour. Real PostgreSQL, real HTTP, the simulated carrier.

mod browser;
mod conversation;
mod demo;
mod support;
