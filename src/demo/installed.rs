//! Which PostgreSQL this computer has, and what to type where it has none.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest major version that Maskline runs on.
const OLDEST: u32 = 15;

/// A PostgreSQL on this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    /// The folder of `initdb` and `postgres`.
    pub(super) bin: PathBuf,
    pub(super) version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u32,
    minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Every PostgreSQL on this computer, newest first; of equals, that of `PATH` first.
pub(super) fn all() -> Vec<Installed> {
    newest_first(candidates(&path_variable()))
}

/// The first that is new enough and, if a cluster exists already, of the version that made it.
///
/// Returns what is missing, on one line.
pub(super) fn choose(mut all: Vec<Installed>, made_by: Option<u32>) -> Result<Installed, String> {
    let fits = |one: &Installed| match made_by {
        Some(major) => one.version.major == major,
        None => one.version.major >= OLDEST,
    };
    if let Some(at) = all.iter().position(fits) {
        return Ok(all.swap_remove(at));
    }
    let wanted = match made_by {
        Some(major) => format!("PostgreSQL {major}, which made the data folder, is not installed"),
        None => format!("PostgreSQL {OLDEST} or newer is not installed"),
    };
    Err(match all.first() {
        Some(Installed { bin, version }) => {
            format!("{wanted}; the newest found is {version} in {}.", bin.display())
        }
        None => {
            format!("{wanted}: no folder of PATH, nor any usual one, holds initdb and postgres.")
        }
    })
}

/// What to type on this computer to install PostgreSQL.
pub(super) fn advice() -> &'static str {
    if cfg!(target_os = "macos") {
        return "Install it with: brew install postgresql@17";
    }
    advice_for(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

fn advice_for(os_release: &str) -> &'static str {
    let families: Vec<&str> = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace())
        .collect();
    let is = |names: &[&str]| families.iter().any(|family| names.contains(family));
    if is(&["debian", "ubuntu"]) {
        "Install it with: sudo apt-get install postgresql"
    } else if is(&["fedora", "rhel", "centos"]) {
        "Install it with: sudo dnf install postgresql-server"
    } else {
        "Install the PostgreSQL server from your system's packages or from https://www.postgresql.org/download/"
    }
}

#[expect(clippy::disallowed_methods, reason = "no setting: where this computer keeps programs")]
fn path_variable() -> OsString {
    env::var_os("PATH").unwrap_or_default()
}

/// The folders to look into: those of `PATH`, then where the packages put theirs.
fn candidates(path: &OsStr) -> Vec<PathBuf> {
    let packaged = [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
    ];
    env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .chain(packaged.into_iter().flat_map(|(parent, start)| versioned(parent, start)))
        .chain(["/usr/bin", "/opt/homebrew/bin"].map(PathBuf::from))
        .collect()
}

/// The `bin` of every folder in `parent` whose name begins with `start`.
fn versioned(parent: &str, start: &str) -> Vec<PathBuf> {
    fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(start.as_bytes()))
        .map(|entry| entry.path().join("bin"))
        .collect()
}

fn newest_first(folders: Vec<PathBuf>) -> Vec<Installed> {
    let mut all: Vec<Installed> = folders.into_iter().filter_map(look).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.version));
    all
}

fn look(bin: PathBuf) -> Option<Installed> {
    let postgres = bin.join("postgres");
    if !postgres.is_file() || !bin.join("initdb").is_file() {
        return None;
    }
    let version = ask(&postgres)?;
    Some(Installed { bin, version })
}

fn ask(postgres: &Path) -> Option<Version> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, also `18beta1` and `19devel`.
fn parse(answer: &str) -> Option<Version> {
    let (_, rest) = answer.split_once("(PostgreSQL) ")?;
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    let (_, after_dot) =
        rest.split_once(' ').map_or(rest, |(word, _)| word).split_once('.').unzip();
    Some(Version { major: number(rest)?, minor: after_dot.and_then(number).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn installed(bin: &str, major: u32) -> Installed {
        Installed { bin: bin.into(), version: Version { major, minor: 3 } }
    }

    #[test]
    fn the_version_is_read_from_every_known_answer() {
        for (answer, expected) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some((15, 18))),
            ("postgres (PostgreSQL) 17.2\n", Some((17, 2))),
            ("postgres (PostgreSQL) 17.5 (Homebrew)\n", Some((17, 5))),
            ("postgres (PostgreSQL) 18beta1\n", Some((18, 0))),
            ("postgres (PostgreSQL) 19devel (abc 1.2)\n", Some((19, 0))),
            ("postgres (PostgreSQL) 9.6.24\n", Some((9, 6))),
            ("postgres (PostgreSQL) \n", None),
            ("something else 15.1\n", None),
            ("", None),
        ] {
            let read = parse(answer).map(|version| (version.major, version.minor));
            assert_eq!(read, expected, "{answer}");
        }
    }

    #[test]
    fn the_newest_comes_first_and_of_equals_the_first_named() {
        let root = env::temp_dir().join(format!("maskline-test-{:08x}", rand::random::<u32>()));
        let folders: Vec<PathBuf> = [("b", "15.1"), ("c", "17.9"), ("d", "17.10"), ("e", "15.1")]
            .map(|(name, version)| {
                let folder = root.join(name);
                fs::create_dir_all(&folder).unwrap();
                for program in ["initdb", "postgres"] {
                    let file = folder.join(program);
                    let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
                    fs::write(&file, script).unwrap();
                    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
                }
                folder
            })
            .into();
        fs::create_dir_all(root.join("empty")).unwrap();

        let found = newest_first([vec![root.join("empty"), root.join("none")], folders].concat());
        fs::remove_dir_all(&root).unwrap();

        let names: Vec<_> = found.iter().map(|one| one.bin.file_name().unwrap()).collect();
        assert_eq!(names, ["d", "c", "b", "e"]);
    }

    #[test]
    fn the_newest_is_chosen_unless_a_cluster_wants_its_own() {
        let all = vec![installed("/new", 17), installed("/old", 15)];
        assert_eq!(choose(all.clone(), None).unwrap().bin, Path::new("/new"));
        assert_eq!(choose(all.clone(), Some(15)).unwrap().bin, Path::new("/old"));
        assert_eq!(
            choose(all, Some(16)).unwrap_err(),
            "PostgreSQL 16, which made the data folder, is not installed; the newest found is 17.3 in /new."
        );
        assert_eq!(
            choose(vec![installed("/old", 14)], None).unwrap_err(),
            "PostgreSQL 15 or newer is not installed; the newest found is 14.3 in /old."
        );
        assert_eq!(choose(vec![], None).unwrap_err().lines().count(), 1);
    }

    #[test]
    fn path_comes_first_and_only_with_whole_paths() {
        let folders = candidates(OsStr::new("/first::relative:/second"));
        assert_eq!(folders[..2], ["/first", "/second"].map(PathBuf::from));
        assert!(folders.iter().all(|folder| folder.is_absolute()));
    }

    #[test]
    fn the_advice_is_what_one_types_on_this_system() {
        for (os_release, advice) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n", "sudo apt-get install postgresql"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "sudo apt-get install postgresql"),
            ("ID=fedora\n", "sudo dnf install postgresql-server"),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                "sudo dnf install postgresql-server",
            ),
            ("ID=arch\n", "https://www.postgresql.org/download/"),
            ("", "https://www.postgresql.org/download/"),
        ] {
            assert!(advice_for(os_release).ends_with(advice), "{os_release}");
            assert!(!advice_for(os_release).contains('\n'));
        }
    }
}
