//! The settings: what is wrong is said all at once, by name, and never with a value.

use maskline::config::{LateInbound, OnUnknown, Settings};

const GOOD: [(&str, &str); 6] = [
    ("DATABASE_URL", "postgres://maskline@localhost/maskline"),
    ("MASKLINE_PUBLIC_URL", "https://mask.example/base"),
    ("MASKLINE_WEBHOOK_SECRETS", "sixteen-letters-"),
    ("FLOWROUTE_ACCESS_KEY", "access"),
    ("FLOWROUTE_SECRET_KEY", "secret"),
    ("MASKLINE_MASTER_KEY", KEY),
];

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The good settings with these instead.
fn with(more: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let replaced = |name: &str| more.iter().any(|(given, _)| *given == name);
    let kept = GOOD.into_iter().filter(|(name, _)| !replaced(name));
    let settings = Settings::from_values(kept.chain(more.iter().copied()));
    settings.map_err(|error| error.problems().to_vec())
}

#[test]
fn six_settings_are_enough_and_the_rest_have_defaults() {
    let settings = with(&[]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.admin_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(settings.public_url.as_str(), "https://mask.example/base");
    assert_eq!(settings.flowroute.url.as_str(), "https://api.flowroute.com/");
    assert_eq!((settings.sms_per_second, settings.mms_per_second), (5, 1));
    assert_eq!(settings.on_unknown, OnUnknown::Park);
    assert_eq!((settings.webhook_allow.len(), settings.trusted_proxies.len()), (0, 0));
    assert_eq!(settings.brand.as_str(), "Maskline");
    assert!(!settings.allow_superuser);
    assert!(settings.reconcile && settings.late_inbound == LateInbound::Relay);
    let shown = format!("{settings:?}");
    for secret in ["sixteen-letters-", "postgres://", "\"access\"", "\"secret\""] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn every_setting_is_taken() {
    let settings = with(&[
        ("MASKLINE_LISTEN", "[::]:9000"),
        ("MASKLINE_ADMIN_LISTEN", " 127.0.0.1:9001 "),
        ("MASKLINE_WEBHOOK_SECRETS", "sixteen-letters-, the_other.secret~1"),
        ("MASKLINE_WEBHOOK_ALLOW", "192.0.2.0/24, 2001:db8::1"),
        ("MASKLINE_TRUSTED_PROXIES", "10.0.0.0/8"),
        ("MASKLINE_FLOWROUTE_URL", "http://127.0.0.1:1/sim"),
        ("MASKLINE_SMS_PER_SECOND", "100000"),
        ("MASKLINE_MMS_PER_SECOND", "3"),
        ("MASKLINE_UNKNOWN", "resend"),
        ("MASKLINE_MASTER_KEY", KEY),
        ("MASKLINE_ALLOW_SUPERUSER", "true"),
        ("MASKLINE_BRAND", "Bikes & Co"),
        ("MASKLINE_RECONCILE", "off"),
        ("MASKLINE_LATE_INBOUND", "record"),
    ])
    .unwrap();
    assert_eq!(settings.listen.to_string(), "[::]:9000");
    assert_eq!(settings.admin_listen.port(), 9001);
    assert!(settings.webhook_secrets.admit("sixteen-letters-"));
    assert!(settings.webhook_secrets.admit("the_other.secret~1"));
    assert!(!settings.webhook_secrets.admit("sixteen-letters-,the_other.secret~1"));
    assert_eq!(settings.webhook_secrets.current(), "sixteen-letters-");
    assert_eq!((settings.webhook_allow.len(), settings.trusted_proxies.len()), (2, 1));
    assert_eq!((settings.sms_per_second, settings.mms_per_second), (100_000, 3));
    assert_eq!(settings.on_unknown, OnUnknown::Resend);
    let shown = format!("{:?}", settings.master_keys);
    assert!(!shown.contains(&KEY[..8]) && shown.contains('…'), "{shown}");
    assert!(settings.allow_superuser);
    assert_eq!(settings.brand.as_str(), "Bikes & Co");
}

#[test]
fn all_that_is_missing_is_named_at_once() {
    let error = Settings::from_values([]).unwrap_err();
    let named: Vec<_> =
        error.problems().iter().map(|problem| problem.split(' ').next().unwrap()).collect();
    assert_eq!(named, GOOD.map(|(name, _)| name));
    assert!(error.problems().iter().all(|problem| problem.contains("missing")), "{error}");
}

#[test]
fn whatever_is_malformed_is_named_alone_and_without_its_value() {
    let bad = [
        ("DATABASE_URL", "mysql://hunter2/hunter2"),
        ("DATABASE_URL", "postgres://u:hunter2@h:hunter2/db"),
        ("DATABASE_URL", "postgres://u:hunter2@h/db?sslmode=hunter2"),
        ("DATABASE_URL", "postgres://u@h/db?pasword=hunter2"),
        ("DATABASE_URL", "hunter2"),
        ("MASKLINE_LISTEN", "hunter2"),
        ("MASKLINE_LISTEN", "127.0.0.1"),
        ("MASKLINE_ADMIN_LISTEN", "localhost:70000"),
        ("MASKLINE_PUBLIC_URL", "hunter2"),
        ("MASKLINE_PUBLIC_URL", "ftp://mask.example"),
        ("MASKLINE_PUBLIC_URL", "https://user:hunter2@mask.example"),
        ("MASKLINE_PUBLIC_URL", "https://mask.example/?key=hunter2"),
        ("MASKLINE_WEBHOOK_SECRETS", "hunter2"),
        ("MASKLINE_WEBHOOK_SECRETS", "hunter2-hunter2"),
        ("MASKLINE_WEBHOOK_SECRETS", "hunter2-hunter2-hunter2,"),
        ("MASKLINE_WEBHOOK_SECRETS", "hunter2-hunter2-hunter2,hunter2"),
        ("MASKLINE_WEBHOOK_SECRETS", "hunter2-hunter2-hunter2,hunter2-hunter2-hunter2"),
        ("MASKLINE_WEBHOOK_SECRETS", "hunter2-hunter2-1,hunter2-hunter2-2,hunter2-hunter2-3"),
        ("MASKLINE_WEBHOOK_SECRETS", "hunter2/hunter2/hunter2"),
        ("MASKLINE_WEBHOOK_SECRETS", "hunter2-hunter2-hunter2-é"),
        ("MASKLINE_WEBHOOK_ALLOW", "hunter2"),
        ("MASKLINE_WEBHOOK_ALLOW", "192.0.2.0/24,,10.0.0.1"),
        ("MASKLINE_TRUSTED_PROXIES", "192.0.2.0/99"),
        ("MASKLINE_FLOWROUTE_URL", "http://api.flowroute.com"),
        ("MASKLINE_FLOWROUTE_URL", "https://hunter2:x@api.flowroute.com"),
        ("MASKLINE_SMS_PER_SECOND", "0"),
        ("MASKLINE_SMS_PER_SECOND", "100001"),
        ("MASKLINE_SMS_PER_SECOND", "hunter2"),
        ("MASKLINE_MMS_PER_SECOND", "-1"),
        ("MASKLINE_UNKNOWN", "hunter2"),
        ("MASKLINE_MASTER_KEY", "hunter2"),
        ("MASKLINE_MASTER_KEY", "aHVudGVyMg=="),
        ("MASKLINE_ALLOW_SUPERUSER", "yes"),
        ("MASKLINE_BRAND", "hunter2 hunter2 hunter2"),
        ("MASKLINE_BRAND", "два"),
        ("MASKLINE_RECONCILE", "hunter2"),
        ("MASKLINE_LATE_INBOUND", "hunter2"),
        ("MASKLINE_LISTN", "hunter2"),
        ("MASKLINE_HUNTER", "hunter2"),
        ("MASKLINE_LISTEN_FILE", "hunter2"),
        ("DATABASE_URL", "\0"),
    ];
    for (name, value) in bad {
        let problems = with(&[(name, value)]).unwrap_err();
        assert_eq!(problems.len(), 1, "{name}={value:?}: {problems:?}");
        assert!(problems[0].starts_with(name), "{name}={value:?}: {problems:?}");
        assert!(!problems[0].contains("hunter2"), "{name}: {problems:?}");
    }
    let names: Vec<&str> = ["MASKLINE_BRAND", "MASKLINE_WEBHOOK_ALLOW"]
        .into_iter()
        .chain(GOOD.map(|(name, _)| name))
        .collect();
    for name in &names {
        for empty in ["", " ", "\n"] {
            let problems = with(&[(name, empty)]).unwrap_err();
            assert_eq!(problems, [format!("{name} is empty: give it a value or leave it out")]);
        }
    }
    // And together.
    let all: Vec<(&str, &str)> = names.iter().map(|name| (*name, "")).collect();
    assert_eq!(with(&all).unwrap_err().len(), names.len());
}

#[test]
fn a_mistaken_name_is_answered_with_the_one_that_was_meant() {
    let problems = with(&[("MASKLINE_WEBHOOK_SECRET", "x"), ("MASKLINE_QUX", "x")]).unwrap_err();
    assert_eq!(
        problems,
        [
            "MASKLINE_QUX is no setting",
            "MASKLINE_WEBHOOK_SECRET is no setting; perhaps MASKLINE_WEBHOOK_SECRETS was meant",
        ]
    );
}
