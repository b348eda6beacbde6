//! `maskline audit verify`: whatever is done to the trail, it is found, and the record is named.

use std::{fs, path::PathBuf, slice::from_ref};

use jiff::SignedDuration;
use maskline::audit::{
    checkpoint, export,
    finding::{Finding, Wrong},
    note::{Checkpoint, NoteError, Signer, Verifier},
    publish::file_name,
    verify::{Judge, Kept, Report},
    walk,
};
use sqlx::{Connection, PgConnection};

use crate::{
    pictures::png,
    program::{maskline, maskline_alone, maskline_with},
    seal::{seal, sign, signer, signing, write},
    support::{Database, TestApp, Wishes},
};

/// A trail of three months as the service writes it, sealed and signed after every few records.
pub(crate) async fn lived() -> (TestApp, Vec<Kept>) {
    let key = signer().to_text();
    let settings: &[(&str, &str)] = &[("MASKLINE_AUDIT_KEY", &key)];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    test.run("select audit_make_partitions('2026-03-01', 3)").await;
    let mut kept = Vec::new();
    for month in 0..3 {
        if month > 0 {
            test.advance(SignedDuration::from_hours(31 * 24));
            test.sweep().await;
            kept.push(sealed(&test).await);
        }
        let (ann, ben) = test.conversation().await;
        kept.push(sealed(&test).await);
        for phone in [&ann, &ben, &ann] {
            phone.texts("the bicycle is red").await;
            test.deliver().await;
            kept.push(sealed(&test).await);
        }
        ben.sends(Some("my garden"), &[test.hosts(png(3, 3))]).await;
        test.deliver().await;
        kept.push(sealed(&test).await);
    }
    (test, kept)
}

/// The checkpoint of all there is so far, kept outside.
async fn sealed(test: &TestApp) -> Kept {
    seal(test).await;
    keep(&sign(test).await, &signer())
}

/// A trail of so many rounds: some records, sealed, with a checkpoint.
pub(crate) async fn trail(rounds: usize) -> (TestApp, Vec<Kept>) {
    let test = signing().await;
    let mut kept = Vec::new();
    for round in 0..rounds {
        write(&test, 3 + round % 4).await;
        seal(&test).await;
        kept.push(keep(&sign(&test).await, &signer()));
    }
    (test, kept)
}

pub(crate) fn keep(checkpoint: &Checkpoint, signer: &Signer) -> Kept {
    let name = format!("the kept checkpoint {}", checkpoint.size);
    Kept { note: signer.sign(&checkpoint.text()), name }
}

pub(crate) fn key() -> Vec<Verifier> {
    vec![signer().verifier()]
}

pub(crate) async fn verified(conn: &mut PgConnection, kept: &[Kept]) -> Report {
    walk::verify(conn, Judge::new(key(), kept.to_vec()), |_, _| {}).await.unwrap()
}

/// What an administrator does who may do anything, undone at the end.
struct Tamper {
    conn: PgConnection,
    kept: Vec<Kept>,
}

impl Tamper {
    async fn with(test: &TestApp, kept: &[Kept]) -> Self {
        let conn = PgConnection::connect(test.database_url()).await.unwrap();
        Self { conn, kept: kept.to_vec() }
    }

    /// What is found after this was done.
    async fn does(&mut self, sql: &str) -> Report {
        let sql = format!("begin; {FREE} {sql}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone()))
            .execute(&mut self.conn)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        let report = verified(&mut self.conn, &self.kept).await;
        sqlx::raw_sql("rollback").execute(&mut self.conn).await.unwrap();
        report
    }
}

/// Takes the guard away.
pub(crate) const FREE: &str = "
    do $$ declare t regclass; begin
        for t in select inhrelid from pg_inherits where inhparent = 'audit_record'::regclass
            union all select unnest(array['audit_record', 'audit_leaf', 'audit_checkpoint']::regclass[])
        loop execute format('drop trigger append_only on %s', t); end loop;
    end $$;";

/// The record of a leaf, as a condition.
fn of(index: usize) -> String {
    format!("(at, id) = (select at, id from audit_leaf where index = {index})")
}

fn first(report: &Report) -> &Finding {
    report.findings.first().unwrap_or_else(|| panic!("nothing was found: {report:?}"))
}

/// The first finding is of this record, and certain.
#[track_caller]
fn names(report: &Report, index: u64, wrong: &Wrong) {
    let finding = first(report);
    assert_eq!((finding.index, finding.last, &finding.wrong), (Some(index), None, wrong));
    assert!(finding.who.is_some() && finding.partition.is_some(), "{finding}");
}

/// The first finding is of a few records of which this is one.
#[track_caller]
fn narrows_down(report: &Report, index: u64) {
    let finding = first(report);
    let (first, last) = (finding.index.unwrap(), finding.last.unwrap());
    assert!(matches!(finding.wrong, Wrong::Replaced(_)), "{finding}");
    assert!((first..=last).contains(&index) && last - first < 7, "{finding}");
}

#[tokio::test]
async fn an_untouched_trail_is_intact() {
    let (test, kept) = trail(6).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let report = verified(&mut conn, &kept).await;
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.records, report.covered, report.unsealed), (25, 25, 0));
    assert_eq!((report.checkpoints, report.kept), (6, 6));
    // What is newer is no fault.
    write(&test, 4).await;
    let report = verified(&mut conn, &kept).await;
    assert!(report.is_intact() && report.unsealed == 4, "{report:?}");
    seal(&test).await;
    let report = verified(&mut conn, &kept).await;
    assert!(report.is_intact() && report.covered == 25 && report.records == 29, "{report:?}");
}

#[tokio::test]
async fn whichever_column_is_edited_the_record_is_named() {
    let (test, kept) = trail(5).await;
    let mut tamper = Tamper::with(&test, &kept).await;
    for change in [
        "kind = 'refused'",
        "rule = 'talk '",
        "rule = null",
        "conversation_id = gen_random_uuid()",
        "person_id = gen_random_uuid()",
        "person_id = null",
        "recipient_id = person_id, person_id = null",
        "masked_number = '+14155550100'",
        "carrier_id = carrier_id || 'x'",
        "text_id = gen_random_uuid()",
        "body = body || ' '",
        "body = null",
        "media = '[]'",
        "media = null",
        "detail = null",
        "detail = 'x'",
    ] {
        let report =
            tamper.does(&format!("update audit_record set {change} where {}", of(7))).await;
        names(&report, 7, &Wrong::Edited);
        assert_eq!(report.findings.len(), 1, "{report:?}");
    }
    // Its time or its id are what it is found by.
    for change in ["at = at + interval '1 microsecond'", "id = gen_random_uuid()"] {
        let report =
            tamper.does(&format!("update audit_record set {change} where {}", of(7))).await;
        names(&report, 7, &Wrong::Missing);
    }
    // Where it was written is not sealed: that belongs to the server.
    let report = tamper.does(&format!("update audit_record set xid = '3' where {}", of(7))).await;
    assert!(report.is_intact(), "{report:?}");
}

#[tokio::test]
async fn whichever_byte_is_changed_of_what_the_service_keeps_the_record_is_named() {
    let (test, kept) = lived().await;
    let mut tamper = Tamper::with(&test, &kept).await;
    let with = async |what: &str| -> i64 {
        test.value(&format!(
            "select max(index) from audit_leaf join audit_record using (at, id) where {what}"
        ))
        .await
    };
    let text = with("kind = 'received' and body_sealed is not null and media_sealed is not null");
    let relayed = with("recipient_id is not null and body_sealed is not null");
    let (text, relayed) = (text.await, relayed.await);
    let other = |column: &str, byte: &str| {
        format!("{column} = set_byte({column}, {byte}, get_byte({column}, {byte}) # 1)")
    };
    let mut changes = Vec::new();
    for column in ["body_sealed", "media_sealed"] {
        let last = format!("octet_length({column}) - 1");
        changes.push((text, other(column, "0")));
        changes.push((text, other(column, &last)));
        changes.push((text, format!("{column} = {column} || '\\x00'")));
        changes.push((text, format!("{column} = null")));
    }
    changes.push((text, "body_sealed = media_sealed, media_sealed = body_sealed".to_owned()));
    for (record, column) in
        [(text, "author_id"), (text, "conversation_id"), (relayed, "recipient_id")]
    {
        changes.push((record, format!("{column} = gen_random_uuid()")));
        changes.push((record, format!("{column} = null")));
    }
    for (record, change) in changes {
        let index = usize::try_from(record).unwrap();
        let report =
            tamper.does(&format!("update audit_record set {change} where {}", of(index))).await;
        names(&report, record.unsigned_abs(), &Wrong::Edited);
        assert_eq!(report.findings.len(), 1, "{change}: {report:?}");
    }
}

#[tokio::test]
async fn what_is_taken_away_slipped_in_or_moved_is_named() {
    let (test, kept) = trail(8).await;
    let mut tamper = Tamper::with(&test, &kept).await;
    let count = kept.len() as u64;
    let report = tamper.does(&format!("delete from audit_record where {}", of(9))).await;
    names(&report, 9, &Wrong::Missing);
    let report = tamper
        .does(&format!(
            "delete from audit_record where {}; delete from audit_leaf where index = 9",
            of(9)
        ))
        .await;
    assert_eq!((first(&report).index, &first(&report).wrong), (Some(9), &Wrong::LeafMissing));
    // Closing the gap does not help.
    let shift = "update audit_leaf set index = -index - 1 where index > 9";
    let report = tamper
        .does(&format!(
            "delete from audit_record where {}; delete from audit_leaf where index = 9;
             alter table audit_leaf drop constraint audit_leaf_index_check; {shift};
             update audit_leaf set index = -index - 2 where index < 0",
            of(9)
        ))
        .await;
    narrows_down(&report, 9);
    // Two records change places: their leaves with them, or not.
    let swap = "update audit_leaf set index = 1000000 where index = 4;
                update audit_leaf set index = 4 where index = 8;
                update audit_leaf set index = 8 where index = 1000000;";
    names(&tamper.does(swap).await, 4, &Wrong::OutOfOrder);
    let bodies = format!("update audit_record set body = 'words 1' where {} or {}", of(4), of(8));
    names(&tamper.does(&bodies).await, 4, &Wrong::Edited);
    // A record of the past that never was.
    for xid in ["(select xid from audit_record order by xid limit 1)", "null", "default"] {
        let at = if xid == "default" { "at - interval '2 hours'" } else { "at" };
        let insert = format!(
            "insert into audit_record (id, at, kind, xid)
             select gen_random_uuid(), {at}, 'received', {{xid}} from audit_leaf where index = 3"
        );
        let insert =
            insert.replace("{xid}", if xid == "default" { "pg_current_xact_id()" } else { xid });
        let report = tamper.does(&insert).await;
        assert_eq!(first(&report).wrong, Wrong::Added, "{xid}: {report:?}");
        assert!(first(&report).who.is_some() && report.unsealed == 0, "{xid}: {report:?}");
    }
    // A whole month.
    let part: String =
        test.value("select tableoid::regclass::text from audit_record limit 1").await;
    let report = tamper.does(&format!("drop table {part}")).await;
    names(&report, 0, &Wrong::Missing);
    assert_eq!(first(&report).partition.as_ref(), Some(&part));
    assert_eq!(count, report.kept);
}

#[tokio::test]
async fn a_record_changed_together_with_its_leaf_shows_by_the_next_checkpoint() {
    let (test, kept) = trail(6).await;
    let mut tamper = Tamper::with(&test, &kept).await;
    // What another honest trail hashed for the changed record.
    let forge = format!(
        "update audit_record set body = 'forged' where {};
         update audit_leaf set hash = sha256('forged') where index = 11",
        of(11)
    );
    // The leaf of a forged record that fits it, as a database administrator can compute it.
    let report = tamper.does(&forge).await;
    assert_eq!(first(&report).index, Some(11), "the leaf does not fit: {report:?}");
    let replaced = "update audit_leaf set at = r.at, id = r.id, hash = l.hash
                    from audit_leaf r join audit_leaf l on l.index = r.index
                    where r.index = 12 and audit_leaf.index = 13;";
    let report = tamper
        .does(&format!("alter table audit_leaf drop constraint audit_leaf_at_id_key; {replaced}"))
        .await;
    narrows_down(&report, 13);
}

#[tokio::test]
async fn a_tail_that_is_cut_off_shows_by_a_kept_checkpoint() {
    let (test, kept) = trail(4).await;
    let mut tamper = Tamper::with(&test, &kept).await;
    let cut = |from: usize| {
        format!(
            "delete from audit_record where (at, id) in
                 (select (at, id) from audit_leaf where index >= {from});
             delete from audit_leaf where index >= {from};"
        )
        .replace("(select (at, id)", "(select at, id")
    };
    let with_checkpoints =
        |from: usize| format!("{} delete from audit_checkpoint where size > {from}", cut(from));
    let report = tamper.does(&cut(12)).await;
    assert!(matches!(first(&report).wrong, Wrong::Cut(_)) && first(&report).index == Some(12));
    let report = tamper.does(&with_checkpoints(12)).await;
    assert!(
        matches!(&first(&report).wrong, Wrong::Cut(name) if name.contains("kept")),
        "{report:?}"
    );
    // Without what was kept outside nobody can know.
    tamper.kept.clear();
    assert!(tamper.does(&with_checkpoints(12)).await.is_intact());
    assert!(!tamper.does(&with_checkpoints(11)).await.records.is_multiple_of(12));
}

/// Changes a record and seals everything anew, so that no checkpoint is left.
pub(crate) async fn forge(test: &TestApp) {
    let forgery = format!(
        "{FREE} update audit_record set rule = 'forged' where {};
         delete from audit_leaf; delete from audit_checkpoint;
         update audit_seal set size = 0, frontier = '', watermark = 0",
        of(5)
    );
    test.run(&forgery).await;
    seal(test).await;
}

/// The same, signed with this key.
async fn seal_anew(test: &TestApp, signer: &Signer) {
    forge(test).await;
    checkpoint::make(&test.app, signer).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_trail_that_was_sealed_anew_shows_by_its_key_or_by_what_was_kept() {
    let (test, kept) = trail(4).await;
    let stranger = Signer::new(signer().name(), &[8; 32]);
    seal_anew(&test, &stranger).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let report = verified(&mut conn, &[]).await;
    assert!(matches!(first(&report).wrong, Wrong::Note(_, NoteError::Stranger)), "{report:?}");
    // Whoever has the key, too, is found by what was kept.
    test.run("delete from audit_checkpoint").await;
    checkpoint::make(&test.app, &signer()).await.unwrap();
    assert!(verified(&mut conn, &[]).await.is_intact());
    let report = verified(&mut conn, &kept).await;
    narrows_down(&report, 5);
    assert!(first(&report).to_string().contains("has another root"), "{}", first(&report));
    // A kept one that is not ours proves nothing.
    let forged = kept.iter().map(|kept| Kept { note: kept.note.replace('1', "2"), ..kept.clone() });
    let report = verified(&mut conn, &forged.collect::<Vec<_>>()).await;
    assert!(matches!(first(&report).wrong, Wrong::Note(..)), "{report:?}");
}

#[tokio::test]
async fn a_column_that_is_added_later_changes_no_old_hash() {
    let (test, kept) = trail(3).await;
    for (kind, value) in [
        ("bytea", "'\\x00ff'"),
        ("integer", "-1"),
        ("boolean", "true"),
        ("timestamptz", "'infinity'"),
    ] {
        test.run(&format!("alter table audit_record add column a_{kind} {kind}")).await;
        test.run(&format!(
            "insert into audit_record (id, at, kind, a_{kind}) values (gen_random_uuid(), now(), 'received', {value})"
        ))
        .await;
    }
    seal(&test).await;
    sign(&test).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let report = verified(&mut conn, &kept).await;
    assert!(report.is_intact() && report.covered == 16, "{report:?}");
    let mut tamper = Tamper::with(&test, &kept).await;
    names(
        &tamper.does(&format!("update audit_record set a_integer = -2 where {}", of(13))).await,
        13,
        &Wrong::Edited,
    );
    // And an export holds every kind of value.
    let mut lines = Vec::new();
    export::write(&mut conn, &mut lines, |_, _| {}).await.unwrap();
    let report = export::verify(&lines[..], Judge::new(key(), kept), |_| {}).unwrap();
    assert!(report.is_intact() && report.covered == 16, "{report:?}");
}

/// A folder of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder =
            std::env::temp_dir().join(format!("maskline-verify-{:032x}", rand::random::<u128>()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_verifies_here_and_where_there_is_only_an_export_and_a_public_key() {
    let (test, kept) = trail(3).await;
    let folder = Folder::new();
    fs::write(folder.path(&file_name(12)), &kept[2].note).unwrap();
    let (public, path) = (signer().verifier().to_string(), folder.0.to_str().unwrap());
    let with_key = ["audit", "verify", "--key", &public, "--checkpoints", path];
    let said = maskline(&test, &with_key).done();
    assert!(said.starts_with("intact: 12 records, 3 checkpoints in the trail, 1 kept"), "{said}");
    let said = maskline(&test, &["audit", "verify"]).done();
    assert!(said.contains("no kept checkpoint") && said.contains("no --key"), "{said}");
    let configured = [("MASKLINE_AUDIT_CHECKPOINTS", path)];
    let said = maskline_with(&test, &with_key[..4], &configured).done();
    assert!(said.contains("1 kept outside") && !said.contains("no kept"), "{said}");
    let said = maskline_with(&test, &with_key[..4], &[("MASKLINE_AUDIT_CHECKPOINTS", "/nowhere")]);
    assert!(said.err.contains("/nowhere cannot be read"), "{said:?}");
    assert!(said.done().contains("no kept checkpoint"));

    let file = folder.path("trail.jsonl");
    let said = maskline(&test, &["audit", "export", &file]).done();
    assert!(said.starts_with("12 records"), "{said}");
    maskline(&test, &["audit", "export", &file]).failed();
    // Far from the database, and without any setting.
    let offline = [&with_key[..], &["--export", &file]].concat();
    assert!(maskline_alone(&offline).done().starts_with("intact: 12 records"));
    assert!(maskline_alone(&with_key).failed().contains("DATABASE_URL"), "it knows of no database");

    test.run(&format!("{FREE} update audit_record set body = 'x' where {}", of(6))).await;
    let said = maskline(&test, &with_key);
    assert_eq!(said.code, 1);
    assert!(
        said.out.starts_with("WRONG  record 6 (") && said.out.contains(", in audit_record_"),
        "{said:?}"
    );
    let other = Signer::new("127.0.0.1", &[1; 32]).verifier().to_string();
    let said = maskline_alone(&["audit", "verify", "--key", &other, "--export", &file]);
    assert!(said.code == 1 && said.out.contains("not signed by the key"), "{said:?}");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.rsplit_once("{\"end\"").unwrap().0).unwrap();
    assert!(maskline_alone(&offline).failed().contains("cut off"));
    assert_eq!(maskline(&test, &["audit", "verify", "--key", "nonsense"]).code, 2);
    assert!(
        maskline(&test, &["audit", "verify", "--checkpoints", "/nowhere"])
            .failed()
            .contains("/nowhere")
    );
}

/// An export's lines, with its checkpoints as they stand and where they stand.
fn lines_of(file: &str) -> (Vec<String>, Vec<String>) {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(str::to_owned).partition(|line| !line.starts_with("{\"checkpoint\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_checkpoints_were_moved_or_left_out_is_not_called_intact() {
    let (test, _) = trail(3).await;
    write(&test, 2).await;
    seal(&test).await;
    let folder = Folder::new();
    let (file, public) = (folder.path("trail.jsonl"), signer().verifier().to_string());
    maskline(&test, &["audit", "export", &file]).done();
    let verify = ["audit", "verify", "--export", &file, "--key", &public];
    let said = maskline(&test, &verify).done();
    let partly = "intact as far as checkpoints cover it, the first 12 records: 14 records, 3 check";
    assert!(said.starts_with(partly), "{said}");
    assert!(said.contains("2 of them are under no checkpoint yet"), "{said}");

    // Behind the last record, where they are compared with nothing.
    let (mut lines, checkpoints) = lines_of(&file);
    let end = lines.pop().unwrap();
    let moved = [&lines[..], &checkpoints[..], from_ref(&end)].concat().join("\n");
    fs::write(&file, moved).unwrap();
    let said = maskline(&test, &verify);
    let first = "WRONG  the checkpoint of 3 records does not stand behind the last record";
    assert!(said.code == 1 && said.out.starts_with(first), "{said:?}");
    assert_eq!(said.out.matches("it was moved").count(), 3, "{said:?}");

    // Or nowhere.
    fs::write(&file, [&lines[..], &[end]].concat().join("\n")).unwrap();
    let said = maskline(&test, &verify);
    assert!(said.code == 1 && said.err.contains("the key proves nothing"), "{said:?}");
    assert!(said.out.starts_with("nothing wrong was found, and nothing is proven: 14 records"));
    // Without a key there is nothing that was to be proven.
    let said = maskline(&test, &verify[..4]).done();
    assert!(said.starts_with("nothing wrong was found") && said.contains("no --key"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_and_checkpoints_printed() {
    let (test, kept) = trail(2).await;
    let said = maskline(&test, &["audit", "key", "mask.example"]).done();
    let mut words = said.split_whitespace();
    let (private, public) = (words.nth(1).unwrap(), words.nth(1).unwrap());
    assert!(private.starts_with("PRIVATE+KEY+mask.example+"), "{said}");
    public.parse::<Verifier>().unwrap();
    let folder = Folder::new();
    let file = folder.path("key");
    let said = maskline(&test, &["audit", "key", "mask.example", "--private", &file]).done();
    said.trim().parse::<Verifier>().unwrap();
    maskline(&test, &["audit", "key", "mask.example", "--private", &file]).failed();
    assert_eq!(maskline(&test, &["audit", "key", "mask example"]).code, 2);
    assert_eq!(maskline(&test, &["audit", "checkpoint"]).done(), kept[1].note);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_restored_verifies_and_is_sealed_on() {
    let (test, kept) = trail(4).await;
    write(&test, 2).await;
    let restored = Database::empty().await;
    let script =
        "pg_dump --format=custom \"$1\" | pg_restore --no-owner --exit-on-error --dbname \"$2\"";
    let urls = [test.database_url(), &restored.url].map(|url| {
        // What libpq calls it.
        url.replace("ssl-mode", "sslmode")
    });
    let done = std::process::Command::new("sh")
        .args(["-c", script, "sh", &urls[0], &urls[1]])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut conn = PgConnection::connect(&restored.url).await.unwrap();
    let report = verified(&mut conn, &kept).await;
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.records, report.covered, report.unsealed), (18, 18, 2));
    for table in ["audit_leaf", "audit_record_default"] {
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("truncate {table}")))
            .execute(&mut conn)
            .await;
        assert!(refused.is_err(), "{table} came back without its guard");
    }
}
