//! What `maskline demo` brings along, so that one command shows everything.

mod home;
mod installed;
pub mod postgres;
