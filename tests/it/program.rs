//! The real program, run as an operator runs it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{MASTER_KEY, TestApp};

/// What a command came to.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The command must have succeeded. Returns what it printed.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The command must have failed. Returns why.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_eq!(self.code, 1, "{self:?}");
        self.err
    }

    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }
}

/// Runs `maskline` with these arguments on a test's database; nothing else is set.
pub fn maskline(test: &TestApp, arguments: &[&str]) -> Said {
    maskline_reading(test, arguments, "")
}

/// The same, with these settings.
pub fn maskline_with(test: &TestApp, arguments: &[&str], settings: &[(&str, &str)]) -> Said {
    run(test, arguments, settings, "")
}

/// The same, with this on standard input.
pub fn maskline_reading(test: &TestApp, arguments: &[&str], input: &str) -> Said {
    run(test, arguments, &[], input)
}

/// Runs it where there is nothing but the program: no database, no key, no setting.
#[expect(clippy::disallowed_methods, reason = "programs are found by it")]
pub fn maskline_alone(arguments: &[&str]) -> Said {
    said(
        Command::new(env!("CARGO_BIN_EXE_maskline"))
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .args(arguments),
        "",
    )
}

fn run(test: &TestApp, arguments: &[&str], settings: &[(&str, &str)], input: &str) -> Said {
    said(
        Command::new(env!("CARGO_BIN_EXE_maskline"))
            .env_clear()
            .env("DATABASE_URL", test.app_url())
            .env("MASKLINE_MASTER_KEY", MASTER_KEY)
            .envs(settings.iter().copied())
            .args(arguments),
        input,
    )
}

fn said(command: &mut Command, input: &str) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read what it is given has closed its end.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
