//! `maskline audit key`: a key pair for signing checkpoints.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::private_file;
use crate::{
    audit::note::{self, Signer},
    cli::Done,
};

/// Whose key, and where to.
#[derive(Debug, Args)]
pub struct Key {
    /// The log's name, such as the host of `MASKLINE_PUBLIC_URL`. It stands in every checkpoint.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// Write the private key into this new file instead of printing it.
    #[arg(long, value_name = "FILE")]
    private: Option<PathBuf>,
}

fn name(text: &str) -> Result<String, String> {
    if note::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("must be a name without spaces and plus signs".into())
    }
}

pub(super) fn make(key: &Key) -> Done {
    let signer = Signer::new(&key.name, &rand::random());
    if let Some(path) = &key.private {
        writeln!(private_file(path)?, "{}", signer.to_text())?;
        println!("{}", signer.verifier());
    } else {
        println!("private  {}\npublic   {}", signer.to_text(), signer.verifier());
    }
    Ok(())
}
