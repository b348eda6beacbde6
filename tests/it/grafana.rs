//! What can be seen is written down, and what is written down can be seen: every metric of the code
//! in docs/operating.md, every metric of the dashboard, the alerts and the docs in the code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::service::Site;

/// Each metric's labels.
type Metrics = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn sources(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => sources(path),
            Some(extension) if extension == "rs" => vec![fs::read_to_string(path).unwrap()],
            _ => Vec::new(),
        })
        .collect()
}

/// What the code counts, sets and measures, with its labels; or, of those macros, what it describes.
fn in_code(macros: &[&str]) -> Metrics {
    let mut found = Metrics::new();
    for source in sources(root().join("src")) {
        for name in macros {
            for (at, _) in source.match_indices(&format!("{name}!(")) {
                let is_whole = !source[..at].ends_with(|c: char| c == '_' || c.is_alphanumeric());
                let arguments = &source[at + name.len() + 2..];
                let end = arguments.find(");").or(arguments.find(").")).unwrap_or(arguments.len());
                let end = arguments.find(").").map_or(end, |other| end.min(other));
                let mut texts = arguments[..end].split('"').skip(1).step_by(2);
                if let (true, Some(metric)) = (is_whole, texts.next()) {
                    let labels = arguments[..end].split('"').collect::<Vec<_>>();
                    let labels = labels.windows(2).skip(1).step_by(2);
                    let labels = labels.filter(|at| at[1].trim_start().starts_with("=>"));
                    let labels = labels.map(|at| at[0].to_owned());
                    found.entry(metric.to_owned()).or_default().extend(labels);
                }
            }
        }
    }
    found
}

fn measured() -> Metrics {
    in_code(&["counter", "gauge", "histogram"])
}

/// The metrics that a text names, each with the labels in its braces, if any.
fn named(text: &str) -> Vec<(String, Vec<String>)> {
    let histograms = in_code(&["histogram"]);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let found = text.match_indices("maskline_").filter(|(at, _)| !text[..*at].ends_with(word));
    found
        .map(|(at, _)| {
            let rest = &text[at..];
            let (name, rest) = rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len()));
            let parts = ["_bucket", "_sum", "_count"];
            let whole = parts.iter().find_map(|part| name.strip_suffix(part));
            let name = whole.filter(|whole| histograms.contains_key(*whole)).unwrap_or(name);
            let braces = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let labels = braces.map_or("", |(labels, _)| labels).split(',');
            let labels = labels.map(|label| label.split(['=', '!']).next().unwrap_or_default());
            let labels = labels.map(|label| label.trim().to_owned());
            (name.to_owned(), labels.filter(|label| !label.is_empty()).collect())
        })
        .collect()
}

/// Roles of the database, which are called like metrics.
const ROLES: [&str; 5] =
    ["maskline_owner", "maskline_app", "maskline_compliance", "maskline_migrate", "maskline_serve"];

/// What of a text is not in the code.
fn unknown(text: &str, measured: &Metrics) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, labels) in named(text) {
        match measured.get(&name) {
            None if ROLES.contains(&name.as_str()) => {}
            None => wrong.push(name),
            Some(known) => {
                let strange =
                    labels.iter().filter(|label| !known.contains(*label) && *label != "le");
                wrong.extend(strange.map(|label| format!("{name}{{{label}}}")));
            }
        }
    }
    wrong
}

#[test]
fn every_metric_is_described_and_documented_with_its_labels() {
    let measured = measured();
    assert!(measured.len() > 20, "{measured:?}");
    let described = in_code(&["describe_counter", "describe_gauge", "describe_histogram"]);
    assert_eq!(
        described.keys().collect::<Vec<_>>(),
        measured.keys().collect::<Vec<_>>(),
        "telemetry.rs describes what is measured"
    );
    let docs = read("docs/operating.md");
    for (metric, labels) in &measured {
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{metric}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/operating.md does not list {metric}"));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let shown: BTreeSet<String> = cells[3]
            .split(',')
            .map(|label| label.trim().trim_matches('`').to_owned())
            .filter(|label| !label.is_empty())
            .collect();
        assert_eq!(&shown, labels, "labels of {metric}");
    }
}

#[test]
fn what_the_docs_and_the_dashboard_name_is_measured() {
    let measured = measured();
    for path in ["docs/operating.md", "docs/scaling.md", "docs/grafana/maskline.json"] {
        // Quotes within JSON are escaped.
        let text = read(path).replace("\\\"", "\"");
        assert_eq!(unknown(&text, &measured), [""; 0], "{path}");
    }
    let dashboard: Value = serde_json::from_str(&read("docs/grafana/maskline.json")).unwrap();
    let queries = dashboard["panels"].as_array().unwrap().iter();
    let queries: Vec<&str> = queries
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(queries.len() > 20 && queries.iter().all(|query| query.contains("maskline_")));
    let shown: String = queries.join("\n");
    for metric in measured.keys() {
        assert!(shown.contains(metric.as_str()), "the dashboard does not show {metric}");
    }
}

#[test]
fn every_alert_asks_for_what_is_measured_and_says_what_to_do() {
    let measured = measured();
    let docs = read("docs/operating.md");
    let anchors: BTreeSet<String> = docs
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|title| {
            title.replace(' ', "-").replace(|c: char| !c.is_alphanumeric() && c != '-', "")
        })
        .collect();
    let rules = YamlLoader::load_from_str(&read("docs/grafana/alerts.yml")).unwrap();
    let rules = rules[0]["groups"][0]["rules"].as_vec().unwrap();
    assert!(rules.len() > 10);
    let text = |yaml: &Yaml| yaml.as_str().unwrap_or_default().to_owned();
    for rule in rules {
        let name = text(&rule["alert"]);
        let asked = text(&rule["expr"]);
        assert!(asked.contains("maskline_"), "{name}");
        assert_eq!(unknown(&asked, &measured), [""; 0], "{name}");
        assert!(["page", "ticket"].contains(&&*text(&rule["labels"]["severity"])), "{name}");
        assert!(text(&rule["annotations"]["summary"]).ends_with('.'), "{name}");
        let runbook = text(&rule["annotations"]["runbook"]);
        let anchor = runbook.strip_prefix("docs/operating.md#").unwrap_or_default();
        assert!(anchors.contains(anchor), "{name}: {runbook} leads nowhere");
    }
}

/// A counter that appears with its first event shows no increase, so that nobody would be told of it.
#[tokio::test]
async fn what_alerts_when_it_happens_once_is_counted_from_zero() {
    let site = Site::new().await;
    let served = site.serve_with("serve", &[]).await;
    let metrics = served.get("/metrics").await.text().await.unwrap();
    served.stop().await;
    let rules = read("docs/grafana/alerts.yml");
    let asked = rules.split("increase(").skip(1).filter_map(|rest| rest.split_once(" > 0\n"));
    let asked: Vec<&str> = asked
        .filter(|(before, _)| !before.contains('\n'))
        .filter_map(|(before, _)| before.split_once('[').map(|(series, _)| series))
        .collect();
    assert!(asked.len() > 8, "{asked:?}");
    for series in asked {
        let (name, wanted) = series.split_once('{').unwrap_or((series, ""));
        let values = wanted.split('"').nth(1).map(|values| values.split('|').collect());
        for value in values.unwrap_or_else(|| vec![""]) {
            let is_shown = metrics.lines().any(|line| {
                line.starts_with(name)
                    && line.ends_with(" 0")
                    && (value.is_empty() || line.contains(&format!("=\"{value}\"")))
            });
            assert!(is_shown, "{series} does not begin at 0:\n{metrics}");
        }
    }
}

/// `and` joins only series whose labels are all the same, unless it is told which not to look at.
#[test]
fn what_an_alert_joins_can_meet() {
    for line in read("docs/grafana/alerts.yml").lines() {
        let Some((left, right)) = line.split_once(" and ") else { continue };
        let labels = |text: &str| {
            text.split_once('{').map(|(_, rest)| rest.split_once('}').unwrap().0.to_owned())
        };
        let is_summed = |text: &str| text.contains("max(") || text.contains("sum(");
        let told = right.starts_with("ignoring(") || right.starts_with("on(");
        let meets = labels(left) == labels(right) || (is_summed(left) && is_summed(right));
        assert!(told || meets, "{line}");
    }
}

#[test]
fn the_reader_sees_what_is_not_measured() {
    let measured = measured();
    for text in [
        "maskline_nothing_total",
        "maskline_sends_total{result=\"x\"}",
        "maskline_tasks_open_count",
    ] {
        assert_eq!(unknown(text, &measured).len(), 1, "{text}");
    }
    for text in ["maskline_sends_total{outcome=~\"x\"}", "maskline_send_seconds_bucket{le=\"1\"}"] {
        assert_eq!(unknown(text, &measured), [""; 0], "{text}");
    }
}
