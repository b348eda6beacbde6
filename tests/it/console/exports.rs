//! Exports as jobs: who asks, who approves, who writes them, who may have them, and until when.

use std::{fs, io::Cursor};

use jiff::SignedDuration;
use maskline::{
    audit::tree::Hash,
    console::{exports::worker, staff::Role},
};
use sha2::{Digest, Sha256};

use super::desk::Desk;
use crate::{
    extract::{Out, talk, verified},
    seal::{seal, signer, signing},
    service::Site,
    support::{TestApp, Wishes},
};

/// What staff did with exports, oldest first.
const DEEDS: &str = "select rule || ' ' || detail from audit_record
    where rule like 'export%' order by at, id";
const RULES: &str = "select rule from audit_record where rule like 'export%' order by at, id";
const STATE: &str = "select state from export_job";

/// What stands in the form for an export of a conversation.
fn form(conversation: &str, format: &str) -> Vec<(&'static str, String)> {
    let q = format!("conversation:{conversation}");
    let form = [("q", q.as_str()), ("format", format), ("matter", "CV-17"), ("reason", "subpoena")];
    form.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// Erin asks, and Vera grants. Returns Erin's cookie and the page of the export.
async fn granted(desk: &Desk<'_>, conversation: &str) -> (String, String) {
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let page = grant(desk, &erin, &vera, &form(conversation, "csv")).await;
    (erin, page)
}

async fn grant(desk: &Desk<'_>, erin: &str, vera: &str, form: &[(&'static str, String)]) -> String {
    let asked = desk.post("/exports", Some(erin), form).await;
    assert_eq!(asked.status, 303, "{}", asked.body);
    let page = asked.location.unwrap().replace("?done=asked", "");
    assert_eq!(desk.post(&format!("{page}/grant"), Some(vera), &[]).await.status, 303);
    page
}

async fn step(test: &TestApp) -> usize {
    worker::step(&test.app).await.unwrap()
}

/// The files of exports in the storage, and their names.
fn kept(test: &TestApp) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(&test.folder).into_iter().flatten().map(Result::unwrap);
    let exports = entries.filter(|it| it.file_name().to_str().unwrap().starts_with("export-"));
    exports
        .map(|it| (it.file_name().to_str().unwrap().to_owned(), fs::read(it.path()).unwrap()))
        .collect()
}

/// Unpacks a zip into a folder of its own, and returns the folder that it holds.
fn unpacked(zip: &[u8]) -> (Out, Out) {
    let out = Out::new();
    zip::ZipArchive::new(Cursor::new(zip)).unwrap().extract(&out.0).unwrap();
    let inside = fs::read_dir(&out.0).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_dir(&out.0).unwrap().count(), 1, "one folder");
    (out, Out(inside))
}

fn is_hidden(bytes: &[u8], what: &[u8]) -> bool {
    !bytes.windows(what.len()).any(|part| part == what)
}

/// Whoever has written a file dies before that can be said.
const DEATH: &str = "create function die() returns trigger language plpgsql as $$
    begin raise exception 'the database went away'; end $$;
    create trigger die before update of state on export_job for each row
    when (new.state = 'done') execute function die()";

#[tokio::test]
async fn an_export_is_asked_for_where_something_was_found() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    assert!(desk.get("/exports", Some(&erin)).await.body.contains("You have asked for no export"));
    let asking = found(&desk, &erin, &conversation).await;
    for (at, wrong, says) in [
        (0, "", "say where to look"),
        (0, "state:asleep", "state: needs"),
        (0, "bicycle", "do not go into an address"),
        (1, "pdf", "how it is to be written"),
        (2, "", "The case"),
        (3, "call 206-555-0142", "telephone number"),
        (4, "019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94", "not kept any more"),
    ] {
        let mut form = asking.clone();
        wrong.clone_into(&mut form[at].1);
        let said = desk.post("/exports", Some(&erin), &form).await;
        assert!(said.status == 422 && said.body.contains(says), "{says}: {}", said.body);
    }
    let everything = desk.post("/exports", Some(&erin), &form("", "csv")[1..]).await;
    assert!(everything.status == 422 && everything.body.contains("Search first"));
    assert_eq!(test.column(RULES).await, [""; 0]);
    assert_eq!(desk.post("/exports", Some(&erin), &asking).await.status, 303);
    assert_eq!(test.column(RULES).await, ["export_ask"]);
    assert_eq!(step(&test).await, 0, "nobody has approved it");
    assert_eq!(test.places("bicycle").await, [""; 0]);
}

/// Looks for a word in a conversation, and follows the link below what is found to the form, filled in.
async fn found(desk: &Desk<'_>, erin: &str, id: &str) -> Vec<(&'static str, String)> {
    let q = format!("conversation:{id} bicycle");
    let found = desk.post("/search", Some(erin), &[("q", q)]).await.location.unwrap();
    let body = desk.get(&found, Some(erin)).await.body;
    let link = body.split("href=\"").find(|rest| rest.starts_with("/exports/new?")).unwrap();
    let link = link.split('"').next().unwrap().replace("&#38;", "&");
    let page = desk.get(&link, Some(erin)).await.body;
    assert!(page.contains(id) && page.contains("<strong>bicycle</strong>"), "{page}");
    let w = link.split("w=").nth(1).unwrap().to_owned();
    [form(id, "csv"), vec![("w", w)]].concat()
}

#[tokio::test]
async fn nobody_approves_their_own() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let asked = desk.post("/exports", Some(&erin), &form(&conversation, "csv")).await;
    let page = asked.location.unwrap().replace("?done=asked", "");
    let grant = format!("{page}/grant");
    assert_eq!(desk.post(&grant, Some(&erin), &[]).await.status, 403, "her role may not");
    test.run("update staff set role = 'approver' where name = 'Erin'").await;
    let own = desk.post(&grant, Some(&erin), &[]).await;
    assert!(own.status == 422 && own.body.contains("asked for it yourself"), "{}", own.body);
    assert!(!desk.get(&page, Some(&erin)).await.body.contains("/grant"));
    assert!(!desk.get("/", Some(&erin)).await.body.contains("1 wait for you"));
    assert_eq!(test.value::<String>(STATE).await, "asked");
    assert!(desk.get("/", Some(&vera)).await.body.contains("1 wait for you"));
    let waits = desk.get(&page, Some(&vera)).await.body;
    assert!(waits.contains("You decide") && waits.contains("subpoena"), "{waits}");
    assert_eq!(desk.post(&grant, Some(&vera), &[]).await.status, 303);
    assert_eq!(desk.post(&grant, Some(&vera), &[]).await.status, 422, "decided");
}

#[tokio::test]
async fn only_who_asked_downloads_what_was_approved() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let nora = desk.enter(&desk.staff("Nora", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let asking = found(&desk, &erin, &conversation).await;
    let page = grant(&desk, &erin, &vera, &asking).await;
    let file = format!("{page}/file");
    assert_eq!(desk.post(&file, Some(&erin), &[]).await.status, 422, "not written yet");
    assert_eq!(step(&test).await, 1);
    let ready = desk.get(&page, Some(&erin)).await.body;
    assert!(ready.contains("in 7 days") && ready.contains("audit verify --export"), "{ready}");
    assert_eq!(desk.post(&file, Some(&vera), &[]).await.status, 403, "her role may not");
    assert_eq!(desk.post(&file, Some(&nora), &[]).await.status, 404, "it is not hers");
    assert_eq!(desk.get(&page, Some(&nora)).await.status, 404, "it is not hers");
    assert!(!desk.get("/exports", Some(&nora)).await.body.contains("CV-17"));

    let (status, headers, zip) = desk.take(&file, &erin).await;
    assert_eq!(status, 200);
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!((header("content-type"), header("cache-control")), ("application/zip", "no-store"));
    assert!(header("content-disposition").starts_with("attachment; filename=\"maskline-export-"));
    let sum = Hash(Sha256::digest(&zip).into()).to_string();
    assert_eq!(test.value::<String>("select sha256 from export_job").await, sum);
    assert!(ready.contains(&sum));

    let (_whole, out) = unpacked(&zip);
    assert!(verified(&test, &out, &[]).done().contains("intact: "));
    assert!(out.read("records.csv").contains("The bicycle"));
    let manifest = out.manifest();
    assert_eq!((manifest.requester.as_str(), manifest.approver.as_deref()), ("Erin", Some("Vera")));
    assert_eq!((manifest.reason.as_str(), manifest.case.as_deref()), ("subpoena", Some("CV-17")));
    assert_eq!(manifest.filter["keyword"], "bicycle");

    // Who, with which role, what and why was on record before each step.
    let size = manifest.checkpoint.lines().nth(1).unwrap();
    let scope = format!(
        "conversation {conversation}, a keyword of 7 characters, of the first {size} records, as csv, CV-17: subpoena"
    );
    let made = format!("{} records of 1 conversations in {} bytes", manifest.records, zip.len());
    let id = page.rsplit('/').next().unwrap();
    let (her, both) = ("Erin, auditor, from 127.0.0.1", "Erin, auditor, approved by Vera");
    let expected = [
        format!("export_ask by {her}: export {id} asked for: {scope}"),
        format!("export_grant by Vera, approver, from 127.0.0.1: export {id} for Erin granted"),
        format!("export_begin by {both}: export {id} begun: {scope}"),
        format!("export_made by {both}: export {id} made: {made}, SHA-256 {sum}"),
        format!("export_download by {her}: export {id} downloaded, CV-17: subpoena"),
    ];
    assert_eq!(test.column(DEEDS).await, expected);

    // What lies anywhere cannot be read.
    let kept = kept(&test);
    assert_eq!(kept.len(), 1);
    assert!(is_hidden(&kept[0].1, b"icycle") && is_hidden(&kept[0].1, b"PK\x03\x04"));
    assert_eq!(test.places("bicycle").await, [""; 0]);
}

#[tokio::test]
async fn nothing_is_read_or_handed_out_that_cannot_be_put_on_record() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let (erin, page) = granted(&desk, &conversation).await;
    let refuse = |rule: &str| {
        format!(
            "alter table audit_record add constraint no_more check (rule <> '{rule}') not valid"
        )
    };
    test.run(&refuse("export_begin")).await;
    assert!(worker::step(&test.app).await.is_err());
    assert_eq!(test.value::<String>(STATE).await, "waiting");
    assert!(kept(&test).is_empty());
    test.run("alter table audit_record drop constraint no_more").await;
    assert_eq!(step(&test).await, 1);
    test.run(&refuse("export_download")).await;
    let (status, _, body) = desk.take(&format!("{page}/file"), &erin).await;
    assert!(status == 500 && is_hidden(&body, b"PK"));
}

#[tokio::test]
async fn the_file_is_gone_after_a_week() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let vera = desk.staff("Vera", Role::Approver).await;
    let (eve, veras) = (desk.enter(&erin).await, desk.enter(&vera).await);
    let page = grant(&desk, &eve, &veras, &form(&conversation, "html")).await;
    step(&test).await;
    test.advance(SignedDuration::from_hours(7 * 24) - SignedDuration::from_mins(1));
    step(&test).await;
    assert_eq!(kept(&test).len(), 1);
    test.advance(SignedDuration::from_mins(1));
    let cookie = desk.enter(&erin).await;
    let (status, _, body) = desk.take(&format!("{page}/file"), &cookie).await;
    assert!(status == 422 && is_hidden(&body, b"PK"), "before anybody has tidied up");

    step(&test).await;
    assert!(kept(&test).is_empty());
    let left = "select num_nonnulls(storage_key, key_sealed)::text || state from export_job";
    assert_eq!(test.value::<String>(left).await, "0expired");
    let shown = desk.get(&page, Some(&cookie)).await.body;
    assert!(shown.contains("The file is gone") && !shown.contains("/file"), "{shown}");
    assert!(desk.get("/exports", Some(&cookie)).await.body.contains("expired"));
    assert_eq!(test.column(RULES).await.last().unwrap(), "export_expire");
}

#[tokio::test]
async fn whoever_decides_sees_how_much_it_would_touch_and_what_is_asked_for_in_words() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let asked = desk.post("/exports", Some(&erin), &found(&desk, &erin, &conversation).await).await;
    let page = asked.location.unwrap().replace("?done=asked", "");
    let shown = desk.get(&page, Some(&vera)).await.body;
    assert!(shown.contains("it is being counted"), "{shown}");
    step(&test).await;
    let shown = desk.get(&page, Some(&vera)).await.body;
    let pseudonym = &conversation[conversation.len() - 8..];
    assert!(shown.contains(&format!("<li>It is of conversation {pseudonym}.</li>")), "{shown}");
    assert!(shown.contains("<li>It holds the words “bicycle”.</li>"), "{shown}");
    // It is as much as is written then.
    assert_eq!(desk.post(&format!("{page}/grant"), Some(&vera), &[]).await.status, 303);
    step(&test).await;
    let records: i64 = test.value("select records from export_job").await;
    let counted = "select counted_records::text || ' of ' || counted_conversations from export_job";
    assert_eq!(test.value::<String>(counted).await, format!("{records} of 1"));
    assert!(records > 5, "{records}");
    assert!(shown.contains(&format!("{records} records of 1 conversation</strong>")), "{shown}");
}

#[tokio::test]
async fn beyond_a_bound_nobody_counts() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let more = format!(
        "insert into audit_record (id, at, kind, conversation_id)
         select gen_random_uuid(), '2026-03-01T12:00:00Z', 'staff', '{conversation}'
         from generate_series(1, 10_000)"
    );
    test.run(&more.replace("10_000", "9900")).await;
    seal(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let ask = async || {
        let asked = desk.post("/exports", Some(&erin), &form(&conversation, "csv")).await;
        step(&test).await;
        let page = asked.location.unwrap().replace("?done=asked", "");
        desk.get(&page, Some(&vera)).await.body
    };
    let below = ask().await;
    assert!(below.contains("9\u{202f}9") && !below.contains("more than"), "{below}");
    test.run(&more.replace("10_000", "200")).await;
    seal(&test).await;
    let above = ask().await;
    assert!(above.contains("more than 10\u{202f}000 records of 1 conversation"), "{above}");
    let most: i64 = test.value("select max(counted_records) from export_job").await;
    assert_eq!(most, 10_001);
    // What was sealed later is not of the first.
    assert_eq!(
        test.value::<i64>("select count(distinct counted_records) from export_job").await,
        2
    );
}

#[tokio::test]
async fn what_cannot_be_counted_keeps_nobody_from_deciding() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    talk(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let mut pages = Vec::new();
    for q in ["number:+14155550100", "from:2026-01-01"] {
        let form = [("q", q), ("format", "csv"), ("matter", "CV-17"), ("reason", "subpoena")];
        let form = form.map(|(name, value)| (name, value.to_owned()));
        let asked = desk.post("/exports", Some(&erin), &form).await;
        pages.push(asked.location.unwrap().replace("?done=asked", ""));
    }
    // Nobody has that number any more.
    test.run("update masked_number set number = '+14155550177' where number = '+14155550100'")
        .await;
    step(&test).await;
    let shown = desk.get(&pages[0], Some(&vera)).await.body;
    assert!(shown.contains("nobody can tell how much") && shown.contains("/grant"), "{shown}");
    let shown = desk.get(&pages[1], Some(&vera)).await.body;
    assert!(shown.contains("records of 1 conversation"), "the next one is counted: {shown}");
}

/// So many records of a conversation that no packer makes smaller than half of their 4 kB.
fn noise(conversation: &str, count: usize) -> String {
    format!(
        "insert into audit_record (id, at, kind, conversation_id, detail)
         select gen_random_uuid(), '2026-03-01T12:00:00Z', 'staff', '{conversation}',
             (select string_agg(md5(random()::text || k || n), '') from generate_series(1, 125) k)
         from generate_series(1, {count}) n"
    )
}

#[tokio::test]
async fn a_download_breaks_off_where_the_file_is_damaged() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    test.run(&noise(&conversation, 2_000)).await;
    seal(&test).await;
    let (erin, page) = granted(&desk, &conversation).await;
    assert_eq!(step(&test).await, 1);
    let file = format!("{page}/file");
    let (status, _, whole) = desk.take(&file, &erin).await;
    assert!(status == 200 && test.value::<i32>("select pieces from export_job").await > 1);
    let second: String =
        test.value("select 'export-' || storage_key || '-1' from export_job").await;
    let second = test.folder.join(second);
    let sealed = fs::read(&second).unwrap();
    let mut flipped = sealed.clone();
    flipped[sealed.len() / 2] ^= 1;
    for (name, damaged) in [
        ("one bit", Some(&*flipped)),
        ("cut short", Some(&sealed[..sealed.len() / 2])),
        ("not there", None),
    ] {
        match damaged {
            Some(bytes) => fs::write(&second, bytes).unwrap(),
            None => fs::remove_file(&second).unwrap(),
        }
        let (status, headers, taken) = desk.try_to_take(&file, &erin).await;
        assert_eq!(status, 200, "{name}: it was noticed on the way only");
        assert_eq!(headers["content-length"].to_str().unwrap(), whole.len().to_string(), "{name}");
        assert!(taken.is_err(), "{name}: the browser thinks that it has all of it");
    }
    fs::write(&second, sealed).unwrap();
    assert_eq!(desk.take(&file, &erin).await.2, whole);
    // Of what is damaged at once it is said in words.
    let first: String = test.value("select 'export-' || storage_key || '-0' from export_job").await;
    fs::write(test.folder.join(first), "damaged").unwrap();
    let said = desk.post(&file, Some(&erin), &[]).await;
    assert!(said.status == 422 && said.body.contains("cannot be read"), "{}", said.body);
}

#[tokio::test]
async fn for_how_long_a_file_is_kept_is_a_setting() {
    let key = signer().to_text();
    let settings = &[("MASKLINE_AUDIT_KEY", key.as_str()), ("MASKLINE_EXPORT_LIFETIME", "36h")];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let (cookie, vera) =
        (desk.enter(&erin).await, desk.enter(&desk.staff("Vera", Role::Approver).await).await);
    for path in ["/exports".to_owned(), format!("/exports/new?q=conversation:{conversation}")] {
        let page = desk.get(&path, Some(&cookie)).await.body;
        assert!(page.contains("36 hours"), "{path}: {page}");
    }
    let page = grant(&desk, &cookie, &vera, &form(&conversation, "csv")).await;
    step(&test).await;
    assert!(desk.get(&page, Some(&cookie)).await.body.contains("in 36 hours"));
    test.advance(SignedDuration::from_hours(36) - SignedDuration::from_mins(1));
    let cookie = desk.enter(&erin).await;
    assert_eq!(desk.take(&format!("{page}/file"), &cookie).await.0, 200);
    test.advance(SignedDuration::from_mins(1));
    assert_eq!(desk.take(&format!("{page}/file"), &cookie).await.0, 422);
}

#[tokio::test]
async fn the_same_export_is_the_same_file() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (ann, _, conversation) = talk(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    for format in ["csv", "html", "jsonl", "rsmf"] {
        grant(&desk, &erin, &vera, &form(&conversation, format)).await;
        test.advance(SignedDuration::from_mins(3));
        let asked = desk.post("/exports", Some(&erin), &form(&conversation, format)).await;
        assert_eq!(step(&test).await, 1);
        // What is said and sealed meanwhile is not of that checkpoint.
        ann.texts("one more thing").await;
        test.deliver().await;
        seal(&test).await;
        let later = asked.location.unwrap().replace("?done=asked", "/grant");
        assert_eq!(desk.post(&later, Some(&vera), &[]).await.status, 303);
        assert_eq!(step(&test).await, 1);
        let sums = format!("select distinct sha256 from export_job where format = '{format}'");
        assert_eq!(test.column(&sums).await.len(), 1, "{format}");
    }
}

#[tokio::test]
async fn what_is_refused_is_never_written() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let asked = desk.post("/exports", Some(&erin), &form(&conversation, "csv")).await;
    let page = asked.location.unwrap().replace("?done=asked", "");
    assert_eq!(desk.post(&format!("{page}/refuse"), Some(&vera), &[]).await.status, 303);
    assert_eq!(step(&test).await, 0);
    assert!(desk.get(&page, Some(&erin)).await.body.contains("This was refused"));
    assert_eq!(desk.post(&format!("{page}/file"), Some(&erin), &[]).await.status, 422);
}

#[tokio::test]
async fn whoever_dies_over_it_is_followed_by_another() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let (erin, page) = granted(&desk, &conversation).await;
    // The file lies in the storage, and before that can be said the worker is gone.
    test.run(DEATH).await;
    assert_eq!(step(&test).await, 1);
    let first = kept(&test).remove(0).0;
    let running = desk.get(&page, Some(&erin)).await.body;
    assert!(running.contains("<progress") && running.contains("data-live"), "{running}");
    test.run("drop trigger die on export_job").await;

    test.advance(SignedDuration::from_secs(119));
    assert_eq!(step(&test).await, 0, "its lease lasts");
    test.advance(SignedDuration::from_secs(1));
    assert_eq!(step(&test).await, 1);
    let second = kept(&test);
    assert_eq!(second.len(), 1, "what was left is gone");
    assert_ne!(second[0].0, first);
    let (_whole, out) = unpacked(&desk.take(&format!("{page}/file"), &erin).await.2);
    verified(&test, &out, &[]).done();
    let over = desk.get(&page, Some(&erin)).await.body;
    assert!(!over.contains("data-live"), "there is nothing to wait for: {over}");
    let rules = test.column(RULES).await;
    assert_eq!(rules.iter().filter(|rule| *rule == "export_begin").count(), 2);
}

#[tokio::test]
async fn what_kills_everybody_who_takes_it_is_given_up() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let (erin, page) = granted(&desk, &conversation).await;
    test.run(DEATH).await;
    for _ in 0..3 {
        assert_eq!(step(&test).await, 1);
        assert_eq!(test.value::<String>(STATE).await, "running");
        test.advance(SignedDuration::from_mins(2));
    }
    assert_eq!(step(&test).await, 0);
    let shown = desk.get(&page, Some(&erin)).await.body;
    assert!(shown.contains("It was cut off while it was written"), "{shown}");
    assert!(test.column(DEEDS).await.last().unwrap().starts_with("export_fail by Maskline: "));
    assert!(kept(&test).is_empty());
}

#[tokio::test]
async fn whoever_is_to_stop_gives_it_back() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    granted(&desk, &conversation).await;
    // It hangs in the middle.
    let mut conn = test.db.acquire().await.unwrap();
    sqlx::raw_sql("begin; lock table audit_removal in access exclusive mode")
        .execute(&mut *conn)
        .await
        .unwrap();
    let working = tokio::spawn(worker::run(test.app.clone()));
    until(&test, STATE, "running").await;
    test.app.draining.cancel();
    crate::sending::soon("it stops", working).await.unwrap();
    sqlx::raw_sql("rollback").execute(&mut *conn).await.unwrap();
    let left = "select state || failures || coalesce(leased_until::text, '') from export_job";
    assert_eq!(test.value::<String>(left).await, "waiting0", "at once, and nobody failed");
    assert!(kept(&test).is_empty());
}

#[tokio::test]
async fn a_process_that_is_killed_is_followed_by_another() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let (erin, page) = granted(&desk, &conversation).await;
    let site = Site::new().await;
    let (key, disk) = (signer().to_text(), Out::new());
    fs::create_dir(&disk.0).unwrap();
    let more = [
        ("DATABASE_URL", test.app_url()),
        ("MASKLINE_AUDIT_KEY", &key),
        ("TMPDIR", disk.0.to_str().unwrap()),
        ("MASKLINE_PUBLIC_URL", "http://127.0.0.1:9"),
        ("MASKLINE_MEDIA_URL", test.folder.to_str().unwrap()),
    ];
    let only = "serve --without webhook --without worker --without sweeper \
                --without reconciler --without fetcher --without sealer";
    // Nobody can read the trail's months, so the first hangs in the middle.
    let mut conn = test.db.acquire().await.unwrap();
    sqlx::raw_sql("begin; lock table audit_removal in access exclusive mode")
        .execute(&mut *conn)
        .await
        .unwrap();
    let first = site.serve_with(only, &more).await;
    until(&test, "select state from export_job", "running").await;
    while fs::read_dir(&disk.0).unwrap().count() == 0 {
        tokio::task::yield_now().await;
    }
    first.signal("-KILL");
    first.ended().await;
    let left = disk.files();
    assert!(left.iter().all(|(_, bytes)| is_hidden(bytes, b"icycle")));
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 1, "it was at work");
    sqlx::raw_sql("rollback").execute(&mut *conn).await.unwrap();
    drop(conn);
    let second = site.serve_with(only, &more).await;
    assert_eq!(second.ready().await.1, "ready: exporter\n");
    assert_eq!(test.value::<String>(STATE).await, "running", "the lease lasts");
    test.run("update export_job set leased_until = now()").await;
    until(&test, "select state from export_job", "done").await;
    let log = second.stop().await;
    assert!(!log.iter().any(|line| line.contains("bicycle")));
    assert_eq!(test.value::<i32>("select attempt from export_job").await, 2);
    let real = "update export_job set expires_at = '2026-03-08T12:00:00Z'";
    test.run(real).await;
    let (_whole, out) = unpacked(&desk.take(&format!("{page}/file"), &erin).await.2);
    verified(&test, &out, &[]).done();
}

async fn until(test: &TestApp, sql: &str, expected: &str) {
    let found = async {
        while test.value::<String>(sql).await != expected {
            tokio::task::yield_now().await;
        }
    };
    crate::sending::soon(expected, found).await;
}

#[tokio::test]
async fn what_goes_wrong_is_said_in_words_and_tried_again() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (_, _, conversation) = talk(&test).await;
    let (erin, page) = granted(&desk, &conversation).await;
    // A file where the folder should be.
    fs::remove_dir_all(&test.folder).ok();
    fs::write(&test.folder, "").unwrap();
    assert_eq!(step(&test).await, 1);
    let shown = desk.get(&page, Some(&erin)).await.body;
    assert!(shown.contains("did not take it") && shown.contains("tried again soon"), "{shown}");
    assert!(!shown.contains(test.folder.to_str().unwrap()));
    assert_eq!(step(&test).await, 0, "not at once");
    test.advance(SignedDuration::from_mins(1));
    fs::remove_file(&test.folder).unwrap();
    step(&test).await;
    assert_eq!(test.value::<String>(STATE).await, "done", "it works again");

    // What keeps failing is given up.
    test.advance(SignedDuration::from_mins(1));
    let vera = desk.enter(&desk.staff("Ida", Role::Approver).await).await;
    let page = grant(&desk, &erin, &vera, &form(&conversation, "csv")).await;
    test.run("alter table audit_removal rename to away").await;
    for state in ["waiting", "waiting", "failed", "failed"] {
        step(&test).await;
        let latest = "select state from export_job order by asked_at desc limit 1";
        assert_eq!(test.value::<String>(latest).await, state);
        assert_eq!(step(&test).await, 0, "not at once");
        test.advance(SignedDuration::from_mins(1));
    }
    let shown = desk.get(&page, Some(&erin)).await.body;
    assert!(shown.contains("The database could not be read to the end."), "{shown}");
    let last = test.column(DEEDS).await.pop().unwrap();
    assert!(last.contains("failed: The database could not be read"), "{last}");
    assert_eq!(kept(&test).len(), 1, "only what could be written");
}

#[tokio::test]
async fn without_a_key_or_a_seal_nothing_can_be_asked_for() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    let conversation: String = test.value("select id::text from conversation").await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let path = format!("/exports/new?q=conversation:{conversation}");
    let page = desk.get(&path, Some(&erin)).await.body;
    assert!(page.contains("no signing key is set") && !page.contains("<button class=\"button\""));
    let said = desk.post("/exports", Some(&erin), &form(&conversation, "csv")).await;
    assert!(said.status == 422 && said.body.contains("no signing key"), "{}", said.body);
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let said = desk.post("/exports", Some(&erin), &form(&conversation, "csv")).await;
    assert!(said.status == 422 && said.body.contains("Nothing is sealed yet"), "{}", said.body);
}

#[tokio::test]
async fn files_from_before_somebody_was_forgotten_open_no_more() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (ann, _, conversation) = talk(&test).await;
    let (erin, page) = granted(&desk, &conversation).await;
    step(&test).await;
    let (person, _) = test.person(&ann.number).await;
    let erase = ["people", "erase", &person.to_string(), "--reason", "asked by letter", "--yes"];
    crate::program::maskline(&test, &erase).done();
    assert_eq!(desk.post(&format!("{page}/file"), Some(&erin), &[]).await.status, 422);
    let shown = desk.get(&page, Some(&erin)).await.body;
    assert!(shown.contains("Somebody was forgotten after it was written"), "{shown}");
    step(&test).await;
    assert!(kept(&test).is_empty());
    test.deliver().await;
}

#[tokio::test]
async fn lines_of_json_are_asked_for_as_everything_else_is() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    talk(&test).await;
    let zoe = test.phone("+14155550133");
    zoe.texts("HELP").await;
    test.deliver().await;
    seal(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let offered = desk.get("/exports/new?q=rule:help", Some(&erin)).await.body;
    assert!(offered.contains("value=\"jsonl\"") && offered.contains("for programs"), "{offered}");
    let mut asking = form("", "jsonl");
    "rule:help".clone_into(&mut asking[0].1);
    let page = grant(&desk, &erin, &vera, &asking).await;
    assert_eq!(step(&test).await, 1);
    let shown = desk.get(&page, Some(&erin)).await.body;
    assert!(shown.contains("for programs (JSON lines)"), "{shown}");
    assert!(shown.contains("<small>of no conversation</small>"), "{shown}");
    let (_whole, out) = unpacked(&desk.take(&format!("{page}/file"), &erin).await.2);
    let said = verified(&test, &out, &[]).done();
    let manifest = out.manifest();
    let counted = format!("intact: {0} records of 0 conversations, {0} of them", manifest.records);
    assert!(said.starts_with(&counted), "{said}");
    assert_eq!((manifest.kind.as_str(), manifest.approver.as_deref()), ("jsonl", Some("Vera")));
    let text = out.read("records.jsonl");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, manifest.records);
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!((of("received"), of("answered"), of("delivered")), (1, 1, 1), "{text}");
    assert!(lines.iter().any(|line| line["words"] == "HELP"), "{text}");
    fs::write(out.0.join("records.jsonl"), text.replace("HELP", "HALP")).unwrap();
    assert!(verified(&test, &out, &[]).out.contains("WRONG  records.jsonl was changed"));
}
