//! Where settings come from: the environment first, then the TOML file, then the default.

use std::{collections::BTreeMap, fs, path::Path};

/// Every name that may be set. What is not here and begins with `MASKLINE_` is a mistake.
const NAMES: &[&str] = &[
    "DATABASE_URL",
    "MASKLINE_LISTEN",
    "MASKLINE_ADMIN_LISTEN",
    "MASKLINE_PUBLIC_URL",
    "MASKLINE_WEBHOOK_SECRETS",
    "MASKLINE_WEBHOOK_ALLOW",
    "MASKLINE_TRUSTED_PROXIES",
    "FLOWROUTE_ACCESS_KEY",
    "FLOWROUTE_SECRET_KEY",
    "MASKLINE_FLOWROUTE_URL",
    "MASKLINE_SMS_PER_SECOND",
    "MASKLINE_MMS_PER_SECOND",
    "MASKLINE_UNKNOWN",
    "MASKLINE_MASTER_KEY",
    "MASKLINE_ALLOW_SUPERUSER",
    "MASKLINE_BRAND",
    "MASKLINE_CODE_LIFETIME",
    "MASKLINE_CODE_FAILURES_ALARM",
    "MASKLINE_TEXTS_PER_COMMIT",
    "MASKLINE_SILENCE",
    "MASKLINE_LONGEST",
    "MASKLINE_REOPEN_WITHIN",
    "MASKLINE_REQUEST_LIFETIME",
    "MASKLINE_EXPORT_LIFETIME",
    "MASKLINE_NUMBER_CHOICE",
    "MASKLINE_NUMBER_CAPACITY",
    "MASKLINE_COOL_OFF",
    "MASKLINE_KEEP_APART",
    "MASKLINE_RECONCILE",
    "MASKLINE_LATE_INBOUND",
    "MASKLINE_MEDIA_URL",
    "MASKLINE_MEDIA_HOSTS",
    "MASKLINE_MEDIA_DAYS",
    "MASKLINE_AUDIT_KEY",
    "MASKLINE_AUDIT_ORIGIN",
    "MASKLINE_AUDIT_CHECKPOINTS",
    "MASKLINE_AUDIT_KEEP_MONTHS",
];

/// The names that may also be given as `NAME_FILE`: a file that holds the value.
const SECRETS: [&str; 7] = [
    "DATABASE_URL",
    "MASKLINE_WEBHOOK_SECRETS",
    "FLOWROUTE_ACCESS_KEY",
    "FLOWROUTE_SECRET_KEY",
    "MASKLINE_MASTER_KEY",
    "MASKLINE_AUDIT_KEY",
    "MASKLINE_AUDIT_CHECKPOINTS",
];

/// The values as found, and what is wrong so far.
pub(super) struct Sources {
    values: Values,
    problems: Vec<String>,
}

/// What each name was given: none where something was, but could not be read. One mistake, one
/// sentence: such a name is not missing as well.
type Values = BTreeMap<String, Option<String>>;

impl Sources {
    /// Collects the environment and the file.
    #[expect(clippy::disallowed_methods, reason = "the one place where settings are read")]
    pub(super) fn collect(file: Option<&Path>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| is_ours(name));
        let mut problems = Vec::new();
        let mut values = file.map(|path| read_file(path, &mut problems)).unwrap_or_default();
        // A name from the environment replaces what the file says, in either of its forms.
        for (name, value) in environment {
            let plain = name.strip_suffix("_FILE").unwrap_or(&name).to_owned();
            let (own, other) =
                (name.clone(), if name == plain { format!("{plain}_FILE") } else { plain });
            if std::env::var_os(&other).is_none() {
                values.remove(&other);
            }
            let value = value.into_string().ok();
            if value.is_none() {
                problems.push(format!("{name} is not UTF-8 text"));
            }
            values.insert(own, value);
        }
        Self { values, problems }.settle()
    }

    /// Takes these values as if they stood in the environment.
    pub(super) fn from_values<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values =
            values.into_iter().map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let values = values.collect();
        Self { values, problems: Vec::new() }.settle()
    }

    /// Reads the `NAME_FILE`s, and names every name that means nothing.
    fn settle(mut self) -> Self {
        for secret in SECRETS {
            let name = format!("{secret}_FILE");
            let Some(path) = self.values.remove(&name) else { continue };
            if self.values.contains_key(secret) {
                self.problems.push(format!("{secret} and {name} are both set: set one of them"));
                continue;
            }
            let value = match path.map(fs::read_to_string) {
                Some(Ok(value)) => Some(value.trim_end_matches(['\r', '\n']).to_owned()),
                Some(Err(error)) => {
                    self.problems.push(format!("{name} names a file that cannot be read: {error}"));
                    None
                }
                None => None,
            };
            self.values.insert(secret.to_owned(), value);
        }
        let unknown = self.values.keys().filter(|name| !NAMES.contains(&name.as_str()));
        self.problems.extend(unknown.map(|name| match nearest(name) {
            Some(known) => format!("{name} is no setting; perhaps {known} was meant"),
            None => format!("{name} is no setting"),
        }));
        self
    }

    /// A setting that must be there.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.values.contains_key(name) {
            let or_file =
                if SECRETS.contains(&name) { format!(" (or {name}_FILE)") } else { String::new() };
            self.problems.push(format!("{name} is missing: set it in the environment{or_file} or in the file given by --config"));
            return None;
        }
        self.optional(name, parse)
    }

    /// A setting with a default.
    pub(super) fn or<T>(
        &mut self,
        name: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.values.entry(name.to_owned()).or_insert_with(|| Some(default.to_owned()));
        self.optional(name, parse)
    }

    /// A setting that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.values.get(name)?.as_ref()?;
        if value.trim().is_empty() {
            self.problems.push(format!("{name} is empty: give it a value or leave it out"));
            return None;
        }
        parse(value.trim()).map_err(|problem| self.problems.push(format!("{name} {problem}"))).ok()
    }

    pub(super) fn problems(self) -> Vec<String> {
        self.problems
    }
}

fn is_ours(name: &str) -> bool {
    let plain = name.strip_suffix("_FILE").unwrap_or(name);
    name.starts_with("MASKLINE_") || NAMES.contains(&plain)
}

fn read_file(path: &Path, problems: &mut Vec<String>) -> Values {
    let table = match fs::read_to_string(path) {
        Err(error) => {
            problems.push(format!("{} cannot be read: {error}", path.display()));
            return BTreeMap::new();
        }
        // TOML's own message quotes the line, and the line may hold a secret.
        Ok(text) => text.parse::<toml::Table>().map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            problems.push(format!("{} is no TOML: look at line {line}", path.display()));
        }),
    };
    let mut values = BTreeMap::new();
    for (name, value) in table.unwrap_or_default() {
        match plain(&value) {
            Some(value) => drop(values.insert(name, Some(value))),
            None => problems.push(format!(
                "{name} must be a text, a number, true or false, or a list of texts"
            )),
        }
    }
    values
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// The known name that shares the longest beginning with a mistaken one, if that says anything.
fn nearest(mistaken: &str) -> Option<&'static str> {
    let shared =
        |known: &str| known.bytes().zip(mistaken.bytes()).take_while(|(a, b)| a == b).count();
    NAMES
        .iter()
        .copied()
        .filter(|known| known.starts_with("MASKLINE_"))
        .max_by_key(|known| shared(known))
        .filter(|known| shared(known) > "MASKLINE_".len() + 2)
}
