//! As whom `serve` runs, and as whom it does not.

use sqlx::{Connection, PgConnection};

use super::{column, run};
use crate::{
    service::{Site, run as maskline},
    support::{Database, TestApp, named, with_login},
};

/// What is refused of this login, by `serve` and by `check`.
async fn refused(site: &Site, url: &str) -> String {
    let carrier = site.simulator.url();
    let mut settings = site.settings(&carrier);
    settings[0].1 = url;
    let said = maskline("serve", &settings).await;
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    let checked = maskline("check", &settings).await;
    assert_eq!(checked.code, Some(1), "{}", checked.out);
    let first = said.err.lines().find(|line| line.contains("the login ")).unwrap();
    let words = &first[first.find("the login ").unwrap()..];
    assert!(checked.out.contains(words), "{} is not in:\n{}", words, checked.out);
    said.err
}

#[tokio::test]
async fn whoever_could_change_the_trail_does_not_serve_it() {
    let site = Site::new().await;
    let database = site.database();
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    let said = refused(&site, &database.url).await;
    assert!(said.contains("is a superuser") && !said.contains("owns the audit"), "{said}");
    assert!(said.contains("create role maskline_serve login password"), "{said}");

    let table = [
        ("", "grant maskline_owner to {r}", "owns the audit trail, or may become its owner"),
        (
            "noinherit",
            "grant maskline_owner to {r}; grant select, insert on audit_record to {r};
             grant select on _sqlx_migrations to {r}",
            "owns the audit trail",
        ),
        ("createrole", "select 1", "may make roles"),
        ("", "grant update on audit_record to {r}", "may change what stands in the audit trail"),
        ("", "grant update (detail) on audit_record to {r}", "may change what stands"),
        ("", "grant delete on audit_record_default to {r}", "may change what stands"),
        ("", "grant truncate on consent_event to {r}", "may change what stands"),
        ("", "grant pg_write_all_data to {r}", "may change what stands"),
        ("", "grant create on schema public to {r}", "may make tables and functions"),
        ("", "grant pg_execute_server_program to {r}", "may run programs"),
    ];
    for (n, (as_what, more, says)) in table.into_iter().enumerate() {
        let name = named(&format!("mighty_{n}"));
        let url =
            with_login(&database.url, &name, &format!("{as_what} in role maskline_app")).await;
        run(&mut owner, &more.replace("{r}", &name)).await.unwrap();
        let said = refused(&site, &url).await;
        assert!(said.contains(&format!("the login {name} ")) && said.contains(says), "{said}");
        // A role that was set for the session hides nothing.
        let hidden = format!("{url}&options=-crole%3Dmaskline_app");
        assert!(refused(&site, &hidden).await.contains(says));
        run(&mut owner, &format!("drop owned by {name}; drop role {name}")).await.unwrap();
    }
}

#[tokio::test]
async fn who_cannot_serve_is_told_what_is_missing() {
    let site = Site::new().await;
    let name = named("stranger");
    let url = with_login(&site.database().url, &name, "").await;
    let said = refused(&site, &url).await;
    assert!(said.contains(&format!("grant maskline_app to {name};")), "{said}");
    let mut owner = PgConnection::connect(&site.database().url).await.unwrap();
    run(&mut owner, &format!("drop role {name}")).await.unwrap();
}

#[tokio::test]
async fn the_services_login_serves_and_a_superuser_where_that_is_allowed() {
    let site = Site::new().await;
    let served = site.serve_with("serve", &[]).await;
    assert_eq!(served.ready().await.0, 200);
    let who = "select distinct usename::text from pg_stat_activity
               where datname = current_database() and application_name = 'maskline'";
    assert_eq!(site.column(who).await, [crate::support::app_name()]);
    let log = served.stop().await;
    assert!(!log.iter().any(|line| line.contains("ERROR") || line.contains("denied")), "{log:#?}");

    let allowed =
        [("DATABASE_URL", site.database().url.as_str()), ("MASKLINE_ALLOW_SUPERUSER", "true")];
    let served = site.serve_with("serve", &allowed).await;
    assert_eq!(served.ready().await.0, 200);
    served.stop().await;
    let carrier = site.simulator.url();
    let said = maskline("check", &[&site.settings(&carrier)[..], &allowed].concat()).await;
    assert_eq!(said.code, Some(0), "{}", said.out);
    assert!(said.out.contains("could change the audit trail, which is allowed"), "{}", said.out);
}

#[tokio::test]
async fn serve_makes_the_months_and_mends_the_guard_by_the_services_login() {
    let site = Site::new().await;
    let month =
        "to_char(now() at time zone 'utc' + interval '2 months', '\"audit_record_\"YYYY_MM')";
    let mut owner = PgConnection::connect(&site.database().url).await.unwrap();
    let name = column(&mut owner, &format!("select {month}")).await.remove(0);
    run(&mut owner, &format!("drop table {name}")).await.unwrap();
    run(&mut owner, "drop trigger append_only on audit_checkpoint").await.unwrap();
    let served = site.serve_with("serve", &[]).await;
    let there = format!("select to_regclass('{name}')::text");
    assert_eq!(column(&mut owner, &there).await, [name]);
    let log = served.stop().await;
    assert!(log.iter().any(|line| line.contains("audit_checkpoint")), "{log:#?}");
    assert_eq!(column(&mut owner, super::UNGUARDED).await, [""; 0]);
}

#[tokio::test]
async fn staff_work_with_either_login() {
    let test = TestApp::start().await;
    for url in [test.app_url(), test.database_url()] {
        let settings = [("DATABASE_URL", url)];
        for command in
            [&["numbers", "list"][..], &["optout", "list"], &["tasks", "list"], &["holds", "list"]]
        {
            crate::program::maskline_with(&test, command, &settings).done();
        }
    }
    let database = Database::migrated().await;
    assert_ne!(database.url, database.app_url);
}
