//! The files of Maskline that read what strangers send, and no others.
//!
//! They are the very files of `../src`, under the same names. Without the database and the web
//! server around them they build in seconds, though all must be compiled anew to be watched by the
//! fuzzer. When one of them needs another file, it is added here.

#[path = "../src/command/mod.rs"]
pub mod command;

#[path = "../src/conversation/command.rs"]
pub mod vocabulary;
#[path = "../src/carrier/wire.rs"]
pub mod wire_format;

/// Of judgement, its vocabulary.
pub mod conversation {
    pub use crate::vocabulary as command;
}

/// Of the texts, their languages.
pub mod texts {
    pub use crate::language::Language;
}

/// Of the carrier, its wire format.
pub mod carrier {
    pub use crate::wire_format as wire;
}

#[path = "../src/code.rs"]
pub mod code;
#[path = "../src/texts/language.rs"]
pub mod language;
#[path = "../src/phone.rs"]
pub mod phone;
