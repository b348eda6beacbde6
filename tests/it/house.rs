//! The house keeps its order: reads the source as text, and says who reaches back.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The rooms in the order of the data's walk. Each may name only rooms after it.
const ROOMS: [&str; 12] = [
    "reconciler",
    "inbound",
    "sweeper",
    "dispatch",
    "command",
    "conversation",
    "pool",
    "people",
    "media",
    "outbox",
    "consent",
    "carrier",
];
/// What lies under all rooms: the ledger and the materials. It names no room.
const UNDER: [&str; 15] = [
    "audit",
    "app",
    "clock",
    "code",
    "config",
    "database",
    "http",
    "ids",
    "phone",
    "segments",
    "storage",
    "tasks",
    "telemetry",
    "texts",
    "vault",
];
/// What starts the rooms and looks in. Only `main.rs` and itself name it.
const OFFICE: [&str; 4] = ["cli", "console", "demo", "serve"];
/// Where a transaction may begin.
const DOORS: &[&str] = &[
    "audit/checkpoint.rs",
    "audit/seal.rs",
    "reconciler/sends.rs",
    "inbound/receive.rs",
    "sweeper.rs",
    "media/worker.rs",
    "outbox/settler.rs",
    "outbox/worker.rs",
    "cli/audit.rs",
    "cli/audit/export.rs",
    "cli/audit/retain.rs",
    "cli/audit/search.rs",
    "cli/holds.rs",
    "cli/people.rs",
    "cli/conversations.rs",
    "cli/keys.rs",
    "cli/numbers.rs",
    "cli/optout.rs",
    "cli/outbox.rs",
    "cli/staff.rs",
    "cli/tasks.rs",
    "console/account.rs",
    "console/exports/ask.rs",
    "console/exports/make.rs",
    "console/exports/mod.rs",
    "console/exports/touch.rs",
    "console/exports/worker.rs",
    "console/holds.rs",
    "console/integrity.rs",
    "console/people.rs",
    "console/retention/decide.rs",
    "console/retention/mod.rs",
    "console/reveal/mod.rs",
    "console/search/mod.rs",
    "console/search/saved.rs",
    "console/sign_in.rs",
    "console/subject/decide.rs",
    "console/subject/mod.rs",
    "console/tasks.rs",
    "console/verification.rs",
];
/// The longest that a file may be before its tests.
const LONGEST: usize = 300;

/// The words and marks of a Rust source, without comments, strings, characters and lifetimes.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut at) = (Vec::new(), 0);
    let starts = |at: usize, text: &str| {
        text.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c))
    };
    while at < chars.len() {
        let c = chars[at];
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            let mut depth = 0;
            while at < chars.len() {
                if starts(at, "/*") {
                    depth += 1;
                } else if starts(at, "*/") {
                    depth -= 1;
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
            at += 1;
        } else if c == '"' {
            at = after_string(&chars, at);
        } else if c == '\'' {
            at = after_quote(&chars, at);
        } else if let Some(end) = after_raw_string(&chars, at) {
            at = end;
        } else if word(c) {
            let start = at;
            while at < chars.len() && word(chars[at]) {
                at += 1;
            }
            found.push(chars[start..at].iter().collect());
        } else if starts(at, "::") {
            found.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            at += 1;
        }
    }
    found
}

fn after_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Past a character literal, or past the mark of a lifetime.
fn after_quote(chars: &[char], at: usize) -> usize {
    match chars.get(at + 1) {
        Some('\\') => (at + 3..chars.len()).find(|n| chars[*n] == '\'').unwrap_or(at) + 1,
        Some(_) if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at + 1,
    }
}

fn after_raw_string(chars: &[char], at: usize) -> Option<usize> {
    if chars[at] != 'r' || (at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')) {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return None;
    }
    let body = at + 2 + hashes;
    let ends = |n: &usize| {
        chars[*n] == '"' && chars[n + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    Some((body..chars.len()).find(ends).unwrap_or(chars.len()) + 1 + hashes)
}

/// The modules of this crate that a source names, by `crate::` or by climbing there with `super`.
///
/// `module` is where the source stands, such as `["outbox", "queue"]`.
fn named(tokens: &[String], module: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // The modules that a brace opens; none for any other brace.
    let mut open: Vec<bool> = Vec::new();
    let mut depth = module.len();
    let text = |at: usize| tokens.get(at).map_or("", String::as_str);
    for at in 0..tokens.len() {
        match text(at) {
            "{" => {
                let is_module = at >= 2 && text(at - 2) == "mod";
                depth += usize::from(is_module);
                open.push(is_module);
            }
            "}" => depth -= usize::from(open.pop().unwrap_or_default()),
            "crate" | "super" if at == 0 || text(at - 1) != "::" => {
                let mut height = if text(at) == "crate" { 0 } else { depth.saturating_sub(1) };
                let mut next = at + 1;
                while text(next) == "::" && text(next + 1) == "super" {
                    height = height.saturating_sub(1);
                    next += 2;
                }
                if height == 0 && text(next) == "::" {
                    names.extend(firsts(tokens, next + 1));
                }
            }
            _ => {}
        }
    }
    names
}

/// The first name of a path, or of each path in a group.
fn firsts(tokens: &[String], at: usize) -> Vec<String> {
    let Some(first) = tokens.get(at) else { return Vec::new() };
    if first != "{" {
        return vec![first.clone()];
    }
    let (mut found, mut depth, mut is_first) = (Vec::new(), 0, false);
    for token in &tokens[at..] {
        match token.as_str() {
            "{" => {
                depth += 1;
                is_first = depth == 1;
            }
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => is_first = depth == 1,
            _ if is_first => {
                found.push(token.clone());
                is_first = false;
            }
            _ => {}
        }
    }
    found
}

/// What is wrong with a file of this path under `src`, a sentence each.
fn wrongs(path: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let inside = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let module: Vec<&str> = match inside {
        "lib" | "main" => Vec::new(),
        _ => inside.split('/').collect(),
    };
    let mut wrong = Vec::new();
    if let Some(own) = module.first() {
        let names = named(&tokens, &module);
        let may = |name: &String| name == own || may_name(own, name);
        wrong.extend(
            names.iter().filter(|name| !may(name)).map(|name| format!("{path} names {name}")),
        );
    }
    let calls = |name: &str| {
        let called = |at: usize| matches!(tokens.get(at + 1).map(String::as_str), Some("(" | "::"));
        (0..tokens.len())
            .any(|at| tokens[at] == name && called(at) && (at == 0 || tokens[at - 1] != "."))
    };
    // A transaction's beginning is awaited; other things may begin as they like.
    let begins = tokens.windows(6).any(|at| at.concat() == ".begin().await");
    if begins && !DOORS.contains(&path) {
        wrong.push(format!("{path} begins a transaction"));
    }
    // The private server asks itself things that no schema describes.
    let unchecked = ["query", "query_as", "query_scalar", "query_with", "query_as_with", "raw_sql"];
    if module.first() != Some(&"demo") {
        let found = unchecked.into_iter().filter(|name| calls(name));
        wrong.extend(found.map(|name| format!("{path} calls {name} instead of a checked macro")));
    }
    let lines = source.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
    let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
    if lines > LONGEST && !is_test {
        wrong.push(format!("{path} has {lines} lines before its tests"));
    }
    wrong
}

/// Whether a module that is not its own may be named by `own`.
fn may_name(own: &str, name: &str) -> bool {
    let place = |name: &str| ROOMS.iter().position(|room| *room == name);
    if OFFICE.contains(&own) || UNDER.contains(&name) {
        return true;
    }
    // Audit and the materials have no place, and so may name no room.
    matches!((place(own), place(name)), (Some(own), Some(other)) if own < other)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let found = sources(&root).into_iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap())
    });
    found.collect()
}

#[test]
fn no_room_reaches_back_and_transactions_begin_at_doors() {
    let wrong: Vec<String> =
        read("src").iter().flat_map(|(path, source)| wrongs(path, source)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_has_its_place_in_the_tour() {
    let lib = read("src").into_iter().find(|(path, _)| path == "lib.rs").unwrap().1;
    let tokens = tokens(&lib);
    let modules: Vec<&str> =
        tokens.windows(2).filter(|at| at[0] == "mod").map(|at| at[1].as_str()).collect();
    let rooms: Vec<&str> =
        modules.iter().copied().filter(|module| ROOMS.contains(module)).collect();
    assert_eq!(rooms, ROOMS, "lib.rs shows the rooms in the order of the walk");
    for module in modules {
        let known = [&ROOMS[..], &UNDER, &OFFICE].concat();
        assert!(known.contains(&module), "{module} is neither room, material nor office");
    }
}

#[test]
fn no_test_waits_by_the_clock() {
    // Torture strikes at any moment, and a moment is a time.
    let strikes = |path: &str| path.starts_with("torture/");
    for (path, source) in read("tests/it").into_iter().filter(|(path, _)| !strikes(path)) {
        let tokens = tokens(&source);
        let sleeps = tokens.windows(2).any(|at| at[0] == "sleep" && at[1] == "(");
        assert!(!sleeps, "{path} sleeps: wait for what happens, not for a time");
    }
}

#[test]
fn the_reader_sees_who_reaches_back() {
    let table = [
        ("outbox/queue.rs", "use crate::dispatch;"),
        ("outbox/queue.rs", "use crate::{audit::{self, Kind}, conversation::Address, ids};"),
        ("outbox/queue.rs", "fn f() { crate::pool::find() }"),
        ("outbox/queue.rs", "use super::super::inbound::receive;"),
        ("outbox/queue.rs", "mod deep { use super::super::super::inbound; }"),
        ("outbox/mod.rs", "use super::people;"),
        ("outbox/mod.rs", "fn f(c: char) -> bool { c == '\"' } use crate::people; // \""),
        ("outbox/mod.rs", "const A: &str = r#\"a \"quoted\" word\"#; use crate::people;"),
        ("consent/mod.rs", "use crate::serve;"),
        ("dispatch.rs", "fn f() { crate::cli::run() }"),
        ("audit/mod.rs", "use crate::{clock, outbox::Promise};"),
        ("config.rs", "use crate::pool;"),
        ("outbox/mod.rs", "async fn f() { let tx = db.begin().await?; }"),
        ("dispatch.rs", "async fn f() { sqlx::query(\"select 1\").execute(conn) }"),
        ("dispatch.rs", "async fn f() { sqlx::query_as::<_, Row>(\"select 1\") }"),
        ("serve.rs", "async fn f() { sqlx::raw_sql(\"select 1\") }"),
    ];
    for (path, source) in table {
        assert_eq!(wrongs(path, source).len(), 1, "{path}: {source}");
    }
    assert_eq!(wrongs("dispatch.rs", &"\n".repeat(LONGEST + 1)).len(), 1);
}

#[test]
fn the_reader_lets_the_walk_go_on() {
    let table = [
        ("inbound/mod.rs", "use crate::{app::App, carrier::wire::{self, Webhook}, dispatch};"),
        ("outbox/queue.rs", "use super::limit::Recent; use crate::{audit, carrier::Flowroute};"),
        ("outbox/limit.rs", "mod tests { use super::*; }"),
        ("conversation/decide.rs", "use super::command::Command;"),
        (
            "outbox/queue.rs",
            "// crate::inbound\n/* crate::inbound */ const A: &str = \"crate::inbound\";",
        ),
        ("outbox/queue.rs", "fn f<'a>(a: &'a str) -> &'a str { crate::audit::f(a) }"),
        ("config.rs", "use crate::texts::Brand; fn f(url: Url) { url.query().is_none() }"),
        ("inbound/receive.rs", "async fn f() { let tx = app.db.begin().await?; }"),
        ("cli.rs", "use crate::{carrier::Flowroute, serve};"),
        ("demo/postgres.rs", "async fn f() { sqlx::raw_sql(\"create database a\") }"),
        ("dispatch.rs", "async fn f() { sqlx::query!(\"select 1\") }"),
    ];
    for (path, source) in table {
        assert_eq!(wrongs(path, source), [""; 0], "{source}");
    }
    let long = format!("{}#[cfg(test)]\n{}", "\n".repeat(LONGEST), "\n".repeat(LONGEST));
    assert_eq!(wrongs("dispatch.rs", &long), [""; 0]);
}
