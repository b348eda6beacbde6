//! Where settings come from: the environment, `NAME_FILE`, a TOML file. The real program is asked.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::support::{Database, TestApp};

/// A folder of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("maskline-check-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Runs `maskline check` with this environment and nothing else.
fn check(config: Option<&str>, environment: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.env_clear().envs(environment.iter().copied());
    said(command.args(config.map(|path| format!("--config={path}"))).arg("check"))
}

fn said(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    let said = [stdout, stderr].concat();
    (status.success(), String::from_utf8(said).unwrap())
}

/// What is wrong with the settings, a line each.
fn wrong(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("WRONG  settings: ")).collect()
}

#[test]
fn with_nothing_set_everything_missing_is_named() {
    let (done, said) = check(None, &[]);
    assert!(!done);
    let wrong = wrong(&said);
    assert_eq!(wrong.len(), 6, "{said}");
    for name in [
        "DATABASE_URL",
        "MASKLINE_PUBLIC_URL",
        "MASKLINE_WEBHOOK_SECRETS",
        "MASKLINE_MASTER_KEY",
        "FLOWROUTE_ACCESS_KEY",
        "FLOWROUTE_SECRET_KEY",
    ] {
        assert!(wrong.iter().any(|line| line.starts_with(&format!("{name} is missing"))), "{said}");
    }
    assert!(said.contains("6 things are wrong"), "{said}");
}

#[test]
fn no_value_is_ever_printed() {
    let folder = Folder::new();
    let secret = "hunter2-hunter2";
    let config = folder.file(
        "broken.toml",
        format!("MASKLINE_BRAND = \"x\"\nFLOWROUTE_SECRET_KEY = \"{secret}\n"),
    );
    let (done, said) = check(
        Some(&config),
        &[
            ("DATABASE_URL", "postgres://u:hunter2-hunter2@h/db?pasword=hunter2-hunter2"),
            ("MASKLINE_WEBHOOK_SECRETS", secret),
            ("FLOWROUTE_ACCESS_KEY_FILE", secret),
            ("MASKLINE_MASTER_KEY", secret),
            ("MASKLINE_PUBLIC_URL", "https://x:hunter2-hunter2@mask.example/"),
            ("MASKLINE_LISTEN", secret),
            ("MASKLINE_SECRET", secret),
            ("RUST_LOG", "trace"),
        ],
    );
    assert!(!done);
    assert!(!said.contains("hunter2"), "{said}");
    for name in [
        "DATABASE_URL ",
        "MASKLINE_WEBHOOK_SECRETS ",
        "FLOWROUTE_ACCESS_KEY_FILE ",
        "MASKLINE_MASTER_KEY ",
        "MASKLINE_PUBLIC_URL ",
        "MASKLINE_LISTEN ",
        "MASKLINE_SECRET ",
        "FLOWROUTE_SECRET_KEY is missing",
    ] {
        let count = wrong(&said).iter().filter(|line| line.starts_with(name)).count();
        assert_eq!(count, 1, "{name}: {said}");
    }
    assert!(said.contains("broken.toml is no TOML: look at line 2"), "{said}");
    assert_eq!(wrong(&said).len(), 9, "{said}");
}

#[test]
fn an_unknown_parameter_of_the_database_url_is_not_logged_with_its_value() {
    let url = "postgres:///db?host=/nowhere&pasword=hunter2";
    for command in ["check", "migrate", "serve"] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_maskline"));
        let (done, said) = said(program.env_clear().env("DATABASE_URL", url).arg(command));
        assert!(!done && said.contains("DATABASE_URL") && !said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn secrets_may_stand_in_files_and_everything_in_toml() {
    let test = TestApp::start().await;
    let folder = Folder::new();
    let config = folder.file(
        "good.toml",
        format!(
            "MASKLINE_FLOWROUTE_URL = \"{}\"\nMASKLINE_PUBLIC_URL = \"https://mask.example\"\n\
             MASKLINE_WEBHOOK_SECRETS = [\"first-secret-0123\", \"second-secret-0123\"]\n\
             MASKLINE_MASTER_KEY = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n\
             MASKLINE_WEBHOOK_ALLOW = [\"192.0.2.0/24\"]\nMASKLINE_SMS_PER_SECOND = 7\n",
            test.simulator.url()
        ),
    );
    let url = folder.file("url", format!("{}\n", test.app_url()));
    let key = folder.file("key", "simulated\r\n");
    let environment = [
        ("DATABASE_URL_FILE", url.as_str()),
        ("FLOWROUTE_ACCESS_KEY_FILE", &key),
        ("FLOWROUTE_SECRET_KEY_FILE", &key),
    ];
    let ask = async |config: &str, more: &[(&str, &str)]| {
        let (config, environment) = (config.to_owned(), [&environment, more].concat());
        let owned: Vec<(String, String)> =
            environment.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        tokio::task::spawn_blocking(move || {
            let environment: Vec<_> = owned.iter().map(|(a, b)| (&**a, &**b)).collect();
            check(Some(&config), &environment)
        })
        .await
        .unwrap()
    };
    let (done, said) = ask(&config, &[]).await;
    assert!(done, "{said}");
    assert!(said.contains("migrations applied") && said.contains("keys are taken"), "{said}");

    // The environment wins over the file, in either form.
    let (done, said) = ask(&config, &[("MASKLINE_SMS_PER_SECOND", "0")]).await;
    assert!(!done && wrong(&said)[0].starts_with("MASKLINE_SMS_PER_SECOND must"), "{said}");
    let bad = folder.file(
        "bad.toml",
        format!(
            "{}FLOWROUTE_SECRET_KEY = \"wrong\"\nMASKLINE_MMS_PER_SECOND = \"0\"\n",
            fs::read_to_string(&config).unwrap()
        ),
    );
    let (done, said) = ask(&bad, &[("MASKLINE_MMS_PER_SECOND", "2")]).await;
    assert!(done, "{said}");
    let (done, said) = ask(&bad, &[]).await;
    assert!(!done && wrong(&said)[0].starts_with("MASKLINE_MMS_PER_SECOND must"), "{said}");

    // Wrong keys are found out, and not shown.
    let wrong_key = folder.file("wrong", "hunter2");
    let (done, said) = ask(&config, &[("FLOWROUTE_SECRET_KEY_FILE", &wrong_key)]).await;
    assert!(!done && said.contains("WRONG  Flowroute") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_named_so() {
    let database = Database::empty().await;
    let url = database.url.clone();
    let (done, said) =
        tokio::task::spawn_blocking(move || check(None, &[("DATABASE_URL", &url)])).await.unwrap();
    assert!(!done);
    assert!(said.contains("WRONG  database: ") && said.contains("maskline migrate"), "{said}");
}

#[test]
fn a_name_set_twice_or_from_an_unreadable_file_is_named_once() {
    let folder = Folder::new();
    let empty = folder.file("empty", "\n");
    let binary = folder.file("binary", b"\xff\xfe");
    let (_, said) = check(
        None,
        &[
            ("DATABASE_URL", "postgres://u:hunter2@h/db"),
            ("DATABASE_URL_FILE", &empty),
            ("MASKLINE_WEBHOOK_SECRETS_FILE", &empty),
            ("FLOWROUTE_ACCESS_KEY_FILE", &binary),
            ("FLOWROUTE_SECRET_KEY_FILE", "/nowhere/hunter2"),
            ("MASKLINE_PUBLIC_URL_FILE", &empty),
            ("MASKLINE_PUBLIC_URL", "https://mask.example"),
        ],
    );
    let wrong = wrong(&said);
    for start in [
        "DATABASE_URL and DATABASE_URL_FILE are both set",
        "MASKLINE_WEBHOOK_SECRETS is empty",
        "FLOWROUTE_ACCESS_KEY_FILE names a file that cannot be read",
        "FLOWROUTE_SECRET_KEY_FILE names a file that cannot be read",
        "MASKLINE_PUBLIC_URL_FILE is no setting",
    ] {
        assert_eq!(wrong.iter().filter(|line| line.starts_with(start)).count(), 1, "{said}");
    }
    assert_eq!(wrong.len(), 6, "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn what_is_no_utf8_is_named_once() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.env_clear().env("DATABASE_URL", OsStr::from_bytes(b"postgres://hunter2\xff@h/db"));
    let (done, said) = said(command.arg("check"));
    let about = wrong(&said).into_iter().filter(|line| line.starts_with("DATABASE_URL"));
    assert_eq!(about.collect::<Vec<_>>(), ["DATABASE_URL is not UTF-8 text"], "{said}");
    assert!(!done && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_toml_file_that_cannot_be_used_says_where_and_never_what() {
    let folder = Folder::new();
    let cases = [
        ("KEY = \n", "is no TOML: look at line 1"),
        ("A = 1\n\nFLOWROUTE_SECRET_KEY = hunter2\n", "is no TOML: look at line 3"),
        ("MASKLINE_BRAND = \"a\"\nMASKLINE_BRAND = \"hunter2\"\n", "is no TOML: look at line 2"),
        ("MASKLINE_BRAND = 1.5\n", "MASKLINE_BRAND must be a text"),
        ("MASKLINE_WEBHOOK_SECRETS = [1, 2]\n", "MASKLINE_WEBHOOK_SECRETS must be a text"),
        ("[MASKLINE_BRAND]\nx = \"hunter2\"\n", "MASKLINE_BRAND must be a text"),
        ("maskline_brand = \"hunter2\"\n", "maskline_brand is no setting"),
        ("PATH = \"hunter2\"\n", "PATH is no setting"),
        ("DATABASE_URL = \"\\u0000\"\n", "DATABASE_URL "),
    ];
    for (n, (toml, problem)) in cases.into_iter().enumerate() {
        let path = folder.file(&format!("{n}.toml"), toml);
        let (done, said) = check(Some(&path), &[]);
        assert!(!done && said.contains(problem) && !said.contains("hunter2"), "{toml}: {said}");
        let about = wrong(&said).iter().filter(|line| line.contains("missing")).count();
        assert_eq!(wrong(&said).len(), about + 1, "{toml}: {said}");
    }
    let (done, said) = check(Some("/nowhere/maskline.toml"), &[]);
    assert!(!done && said.contains("/nowhere/maskline.toml cannot be read"), "{said}");
}
