//! `maskline audit export` of what a search finds: words opened, in a folder with a signed manifest
//! that says what is in it, and the same whenever it is made again.

mod alone;
mod html;
mod rsmf;
mod subtrees;

use std::{fs, path::PathBuf};

use maskline::audit::{extract::Manifest, note::Checkpoint, tree::Hash};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    pictures::png,
    program::{Said, maskline, maskline_with},
    seal::{seal, sign, signer, signing},
    support::{NUMBER, Phone, TestApp},
    verify::keep,
};

/// A text that a spreadsheet, a page and a mail would all stumble over.
pub(crate) const NASTY: &str =
    "=HYPERLINK(\"https://evil.example\",\"</p><script>alert(1)</script>\")\r\n.\r\n--b";

/// A folder of one test, which nobody has made yet.
pub(crate) struct Out(pub PathBuf);

impl Out {
    pub(crate) fn new() -> Self {
        let name = format!("maskline-extract-{:032x}", rand::random::<u128>());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    pub(crate) fn manifest(&self) -> Manifest {
        serde_json::from_str(&self.read("manifest.json")).unwrap()
    }

    /// All files, by their names.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let (mut found, mut open) = (Vec::new(), vec![self.0.clone()]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(&self.0).unwrap().to_str().unwrap().to_owned();
                    found.push((name, fs::read(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Runs the program with the key that signs.
pub(crate) fn signed(test: &TestApp, arguments: &[&str]) -> Said {
    let key = signer().to_text();
    maskline_with(test, arguments, &[("MASKLINE_AUDIT_KEY", &key)])
}

pub(crate) fn export(test: &TestApp, out: &Out, format: &str, more: &[&str]) -> Said {
    let to = out.0.to_str().unwrap();
    let why = ["--reason", "subpoena", "--case", "CV-17", "--by", "Dana"];
    signed(test, &[&["audit", "export", to, "--format", format], &why[..], more].concat())
}

pub(crate) fn verified(test: &TestApp, out: &Out, more: &[&str]) -> Said {
    let key = signer().verifier().to_string();
    let verify = ["audit", "verify", "--export", out.0.to_str().unwrap(), "--key", &key];
    maskline(test, &[&verify[..], more].concat())
}

/// Ann and Ben, who sent each other this and that, all of it sealed.
pub(crate) async fn talk(test: &TestApp) -> (Phone<'_>, Phone<'_>, String) {
    let (ann, ben) = test.conversation().await;
    let picture = test.hosts(png(8, 8));
    ann.sends(Some("The bicycle, \"blue\""), std::slice::from_ref(&picture)).await;
    ben.texts(NASTY).await;
    test.deliver().await;
    seal(test).await;
    let id = test.value("select id::text from conversation").await;
    (ann, ben, id)
}

fn rows(text: &str) -> Vec<csv::StringRecord> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_table_holds_every_record_with_its_words_and_no_formula() {
    let test = signing().await;
    let (ann, ben, conversation) = talk(&test).await;
    let out = Out::new();
    let said = export(&test, &out, "csv", &["--conversation", &conversation]).done();
    let text = out.read("records.csv");
    assert!(text.starts_with("leaf,record,at,conversation,kind,"), "{text}");
    assert!(text.split_terminator("\r\n").count() > 10, "lines end as RFC 4180 says");
    let rows = rows(&text);
    let belongs = format!(
        "conversation_id = '{conversation}' or text_id in (
             select text_id from audit_record where conversation_id = '{conversation}')"
    );
    let records: i64 =
        test.value(&format!("select count(*) from audit_record where {belongs}")).await;
    assert_eq!(rows.len(), usize::try_from(records).unwrap());
    assert!(said.contains(&format!("{records} records of 1 conversations")), "{said}");
    let of = |kind: &str| rows.iter().filter(|row| &row[4] == kind).collect::<Vec<_>>();
    assert!(!of("delivered").is_empty(), "what the carrier reported is there");
    let words: Vec<&str> = of("received").iter().map(|row| &row[11]).collect();
    assert!(
        words.contains(&"The bicycle, \"blue\"") && words.contains(&&*format!("'{NASTY}")),
        "{words:?}"
    );
    let (her, his) = (test.person(&ann.number).await.0, test.person(&ben.number).await.0);
    let passed_on = of("relayed")[0];
    assert_eq!((&passed_on[6], &passed_on[7]), (&*her.to_string(), &*his.to_string()));
    assert_eq!(&passed_on[8], format!("'{NUMBER}"));
    assert!(of("received").iter().any(|row| row[12].contains("octet-stream")), "pictures are told");
    for row in &rows {
        assert!(
            row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\0'])),
            "{row:?}"
        );
    }
    for phone in [&ann, &ben] {
        assert!(!text.contains(&phone.number.digits()[1..]), "{text}");
    }
    // Each stands where its leaf says.
    for row in &rows {
        let leaf = format!("select id::text from audit_leaf where index = {}", &row[0]);
        assert_eq!(test.value::<String>(&leaf).await, row[1]);
    }
}

#[tokio::test]
async fn the_manifest_says_what_is_in_the_folder_and_who_asked() {
    let test = signing().await;
    let (ann, _, conversation) = talk(&test).await;
    let out = Out::new();
    let her = test.person(&ann.number).await.0;
    let time = ["--from", "2026-03-01", "--zone", "UTC", "--keyword", "Bicycle"];
    export(&test, &out, "csv", &[&["--person", &her.to_string()][..], &time].concat()).done();
    let manifest = out.manifest();
    assert_eq!((manifest.requester.as_str(), manifest.reason.as_str()), ("Dana", "subpoena"));
    assert_eq!((manifest.case.as_deref(), manifest.kind.as_str()), (Some("CV-17"), "csv"));
    assert_eq!(manifest.tool, format!("maskline {}", env!("CARGO_PKG_VERSION")));
    let filter = json!({"person": her, "from": "2026-03-01T00:00:00Z", "keyword": "Bicycle"});
    assert_eq!(manifest.filter, filter);
    assert_eq!(manifest.conversations, 1, "the whole conversation, not only her words");
    let rows = rows(&out.read("records.csv"));
    assert_eq!(manifest.records, rows.len() as u64);
    assert_eq!(manifest.first.unwrap().to_string(), rows[0][2]);
    assert_eq!(manifest.last.unwrap().to_string(), rows[rows.len() - 1][2]);
    assert!(rows.iter().any(|row| row[3] == conversation));
    let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["excluded.csv", "proofs.jsonl", "records.csv"]);
    let checkpoint: String = test.value("select note from audit_checkpoint").await;
    assert_eq!(manifest.checkpoint, checkpoint);

    // Whoever asked is on record, with ids in place of what was typed.
    let record =
        "select concat_ws(' | ', detail, body) from audit_record where rule = 'audit_export'";
    let size: i64 = test.value("select size from audit_checkpoint").await;
    let expected = format!(
        "by Dana: an export of person {her}, from 2026-03-01T00:00:00Z, a keyword of 7 characters, of the first {size} records | subpoena (case CV-17)"
    );
    assert_eq!(test.column(record).await, [expected]);
}

#[tokio::test]
async fn an_export_is_the_same_when_it_is_made_again() {
    let test = signing().await;
    let (ann, ben, _) = talk(&test).await;
    let (first, again, newer) = (Out::new(), Out::new(), Out::new());
    let everything = ["--kind", "received"];
    export(&test, &first, "csv", &everything).done();
    let size: i64 = test.value("select max(size) from audit_checkpoint").await;
    ann.texts("and one more").await;
    ben.texts("yes?").await;
    test.deliver().await;
    seal(&test).await;
    sign(&test).await;
    let size = size.to_string();
    export(&test, &again, "csv", &[&everything[..], &["--checkpoint", &size]].concat()).done();
    assert_eq!(first.files(), again.files());
    export(&test, &newer, "csv", &everything).done();
    assert_ne!(first.files(), newer.files());
    let said = export(&test, &Out::new(), "csv", &["--checkpoint", "1"]).failed();
    assert!(said.contains("no checkpoint that counts so many records"), "{said}");
}

#[tokio::test]
async fn whatever_is_changed_in_an_export_is_found() {
    let test = signing().await;
    let (.., conversation) = talk(&test).await;
    let out = Out::new();
    export(&test, &out, "csv", &["--conversation", &conversation]).done();
    let said = verified(&test, &out, &[]).done();
    assert!(said.contains("intact: ") && said.contains("for Dana (subpoena)"), "{said}");

    let kept = Out::new();
    let checkpoint = keep(&sign(&test).await, &signer()).note;
    fs::write(&kept.0, &checkpoint).unwrap();
    let with_kept = ["--checkpoints", kept.0.to_str().unwrap()];
    assert!(!verified(&test, &out, &with_kept).done().contains("compared with none"));

    let changes: [(&str, &str, &str, &str); 5] = [
        ("records.csv", "bicycle", "tricycle", "records.csv was changed"),
        ("manifest.json", "subpoena", "curiosity", "manifest.json: its signature is forged"),
        ("manifest.json.sig", "—", "-", "manifest.json: it is not signed by the key"),
        ("excluded.csv", "leaf", "lead", "excluded.csv was changed"),
        ("proofs.jsonl", "received", "relieved", "proofs.jsonl was changed"),
    ];
    for (file, from, to, found) in changes {
        let path = out.0.join(file);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, before.replacen(from, to, 1)).unwrap();
        let said = verified(&test, &out, &[]);
        assert!(said.code == 1 && said.out.contains(&format!("WRONG  {found}")), "{said:?}");
        fs::write(&path, before).unwrap();
    }
    let path = out.0.join("one-more.csv");
    fs::write(&path, "").unwrap();
    let said = verified(&test, &out, &[]);
    assert!(said.out.contains("WRONG  one-more.csv is not of this export"), "{said:?}");
    fs::remove_file(path).unwrap();
    fs::remove_file(out.0.join("records.csv")).unwrap();
    let said = verified(&test, &out, &[]);
    assert!(said.out.contains("WRONG  records.csv cannot be read"), "{said:?}");
    // The same size, another root.
    let other = Checkpoint { root: Hash([1; 32]), ..Checkpoint::read(&checkpoint).unwrap() };
    fs::write(&kept.0, keep(&other, &signer()).note).unwrap();
    let said = verified(&test, &out, &with_kept);
    assert!(said.out.contains("WRONG  its checkpoint says something else"), "{said:?}");
    fs::remove_file(&kept.0).unwrap();
}

/// Makes the manifest say what the proofs are now, and signs it, as whoever has the key could.
fn sign_again(out: &Out) {
    let proofs = fs::read(out.0.join("proofs.jsonl")).unwrap();
    let mut manifest = out.manifest();
    let listed = manifest.files.iter_mut().find(|file| file.name == "proofs.jsonl").unwrap();
    listed.bytes = proofs.len() as u64;
    listed.sha256 = Hash(Sha256::digest(&proofs).into()).to_string();
    let text = format!("{}\n", serde_json::to_string_pretty(&manifest).unwrap());
    fs::write(out.0.join("manifest.json"), &text).unwrap();
    fs::write(out.0.join("manifest.json.sig"), &signer().sign(&text)[text.len() + 1..]).unwrap();
}

#[tokio::test]
async fn each_record_of_an_export_is_proven_to_stand_under_its_checkpoint() {
    let test = signing().await;
    let (.., conversation) = talk(&test).await;
    let (other, one) = (test.phone("+14155550133"), Out::new());
    for words in ["HELP", "START", "HELP"] {
        other.texts(words).await;
    }
    test.deliver().await;
    seal(&test).await;
    export(&test, &one, "csv", &["--conversation", &conversation]).done();
    verified(&test, &one, &[]).done();
    let proofs = one.read("proofs.jsonl");
    let lines: Vec<&str> = proofs.lines().collect();
    let of = |what: &str| lines.iter().filter(|line| line.starts_with(what)).count();
    let rows = rows(&one.read("records.csv"));
    assert_eq!(of("{\"index\""), rows.len());
    assert_eq!(one.manifest().proven, rows.len() as u64);
    assert!(of("{\"from\"") > 0, "what is not exported is told by its hashes only");
    assert!(!proofs.contains("bicycle"), "words are encrypted in it");

    let place = |what: &str| lines.iter().position(|line| line.starts_with(what)).unwrap();
    let (leaf, tree) = (place("{\"index\""), place("{\"from\""));
    let root = "does not lead to the root of the checkpoint";
    let edits: [(Edit<'_>, &str); 7] = [
        (
            &|it| it[leaf] = it[leaf].replace("\"kind\":\"", "\"kind\":\"x"),
            "is not what was sealed",
        ),
        (&|it| it[leaf] = it[leaf].replace("\"detail\":", "\"more\":"), ""),
        (&|it| drop(it.remove(leaf)), "is not as this version writes it"),
        (&|it| it.swap(leaf, leaf + 1), "is not as this version writes it"),
        (&|it| drop(it.pop()), ""),
        (&|it| it[tree] = changed(&it[tree]), root),
        (&|it| it.truncate(1), "proves 0 records"),
    ];
    for (n, (edit, found)) in edits.into_iter().enumerate() {
        let mut edited: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        edit(&mut edited);
        let is_same = edited == lines;
        fs::write(one.0.join("proofs.jsonl"), edited.join("\n") + "\n").unwrap();
        sign_again(&one);
        let said = verified(&test, &one, &[]);
        assert_eq!(said.code, i32::from(!is_same), "{n}: {said:?}");
        assert!(is_same || said.out.contains("WRONG  proofs.jsonl"), "{n}: {said:?}");
        assert!(is_same || said.out.contains(found), "{n}: {said:?}");
    }
}

/// What is done to the lines of proofs.
type Edit<'a> = &'a dyn Fn(&mut Vec<String>);

/// A line with another hash in it.
fn changed(line: &str) -> String {
    let (head, hash) = line.split_at(line.find("\"tree\":\"").unwrap() + 8);
    let first = if hash.starts_with('0') { '1' } else { '0' };
    format!("{head}{first}{}", &hash[1..])
}

#[tokio::test]
async fn lines_of_json_hold_what_is_looked_for_and_who_approved_it() {
    let test = signing().await;
    let (.., conversation) = talk(&test).await;
    let (lines, table) = (Out::new(), Out::new());
    let asked = ["--conversation", &conversation, "--approver", "Robin"];
    export(&test, &lines, "jsonl", &asked).done();
    export(&test, &table, "csv", &asked).done();
    verified(&test, &lines, &[]).done();
    assert_eq!(lines.manifest().approver.as_deref(), Some("Robin"));
    assert_eq!(lines.manifest().kind, "jsonl");
    let rows = rows(&table.read("records.csv"));
    let text = lines.read("records.jsonl");
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), rows.len());
    for (line, row) in found.iter().zip(&rows) {
        assert_eq!(line["leaf"].to_string(), row[0]);
        assert_eq!((line["id"].as_str(), line["kind"].as_str()), (Some(&row[1]), Some(&row[4])));
    }
    assert!(found.iter().any(|line| line["words"] == NASTY), "{text}");
    let told = "select count(*) from audit_record
        where rule = 'audit_export' and detail like '%, approved by Robin'";
    assert_eq!(test.value::<i64>(told).await, 2);
    let to = Out::new();
    let said = export(&test, &to, "csv", &["--approver", "+14155550100"]);
    assert!(said.code == 2 && said.err.contains("without a telephone number"), "{said:?}");
}

#[tokio::test]
async fn what_nobody_can_read_is_listed_with_why() {
    let test = signing().await;
    let (ann, _, conversation) = talk(&test).await;
    let her = test.person(&ann.number).await.0.to_string();
    maskline(&test, &["people", "erase", &her, "--reason", "asked", "--yes"]).done();
    test.deliver().await;
    seal(&test).await;
    let out = Out::new();
    let said = export(&test, &out, "csv", &["--conversation", &conversation]).done();
    let excluded = rows(&out.read("excluded.csv"));
    assert!(
        said.contains(&format!("The words of {} of them cannot be read", excluded.len())),
        "{said}"
    );
    assert_eq!(out.manifest().excluded.erased, excluded.len() as u64);
    assert!(
        excluded.len() > 2 && excluded.iter().all(|row| &row[4] == "erased" && !row[5].is_empty())
    );
    let text = out.read("records.csv");
    assert!(!text.contains("bicycle") && text.contains("evil.example"), "{text}");
    let listed = |id: &str| excluded.iter().any(|row| &row[1] == id);
    for row in rows(&text).iter().filter(|row| listed(&row[1])) {
        assert_eq!((&row[11], &row[12]), ("", ""));
    }
}

#[tokio::test]
async fn an_export_that_cannot_be_made_says_what_is_missing() {
    let test = signing().await;
    let out = Out::new();
    let to = out.0.to_str().unwrap();
    let why = ["--reason", "subpoena"];
    let csv = ["audit", "export", to, "--format", "csv"];
    for (said, missing) in [
        (signed(&test, &csv), "--reason is needed"),
        (
            signed(&test, &[&csv[..], &["--reason", "call 415 555 0100"]].concat()),
            "telephone number",
        ),
        (maskline(&test, &[&csv[..], &why].concat()), "MASKLINE_AUDIT_KEY is not set"),
        (signed(&test, &["audit", "export", to, "--held"]), "--reason is needed"),
    ] {
        assert!(said.code == 1 && said.err.contains(missing), "{said:?}");
        assert!(!out.0.exists());
    }
    fs::create_dir(&out.0).unwrap();
    let said = export(&test, &out, "csv", &[]).failed();
    assert!(said.contains("cannot make"), "{said}");
    assert_eq!(
        test.column("select detail from audit_record where rule = 'audit_export'").await,
        [""; 0]
    );
}
