//! `maskline people`: one person's data, exported for them or erased. What is erased nobody reads any
//! more, and everything else stays as it was.

use std::process::Command;

use maskline::{
    ids::{PersonId, RecordId},
    media::worker,
    people,
    vault::Field,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use crate::{
    pictures::png,
    program::{maskline, maskline_reading},
    seal::{seal, sign, signing},
    support::{Phone, TestApp},
    verify::{keep, verified},
};

const WHY: [&str; 2] = ["--reason", "asked by letter"];

fn erase(test: &TestApp, phone: &Phone<'_>, more: &[&str]) -> crate::program::Said {
    let arguments = [&["people", "erase", "-"], &WHY[..], more].concat();
    maskline_reading(test, &arguments, &format!("{}\n", phone.number.as_str()))
}

async fn id(test: &TestApp, phone: &Phone<'_>) -> PersonId {
    let sql = "select id from person where tag = $1";
    let tag = test.app.pen.vault.tag(&phone.number);
    sqlx::query_scalar::<_, Uuid>(sql).bind(tag).fetch_one(&test.db).await.unwrap().into()
}

/// The database as `pg_dump` writes it.
fn dump(test: &TestApp) -> String {
    let dumped = Command::new("pg_dump").arg(test.database_url()).output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    String::from_utf8(dumped.stdout).unwrap()
}

/// All bytes that stand in a dump.
fn bytes_in(dump: &str) -> Vec<Vec<u8>> {
    let hex = |text: &str| {
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        pairs.iter().map(byte).collect::<Option<Vec<u8>>>()
    };
    let ends = |c: char| !c.is_ascii_hexdigit();
    dump.split("\\\\x").skip(1).filter_map(|rest| hex(rest.split(ends).next()?)).collect()
}

/// Whether anything in a dump is this person's key, for whoever has the master key.
fn has_key(test: &TestApp, dump: &str, person: PersonId) -> bool {
    bytes_in(dump).iter().any(|bytes| test.app.pen.vault.author(person, bytes).is_ok())
}

/// How many words on record anybody can read, by whose they are.
async fn readable(test: &TestApp, author: PersonId) -> usize {
    let rows = sqlx::query(
        "select r.id, r.body_sealed, p.wrapped_key from audit_record r
         left join person p on p.id = r.author_id
         where r.author_id = $1 and r.body_sealed is not null",
    );
    let rows = rows.bind(author).fetch_all(&test.db).await.unwrap();
    let opens = |row: &&sqlx::postgres::PgRow| {
        let key: Option<Vec<u8>> = row.get("wrapped_key");
        let author = test.app.pen.vault.author_of(Some(author), key.as_deref());
        let (id, sealed): (RecordId, Vec<u8>) = (row.get("id"), row.get("body_sealed"));
        author.is_ok_and(|author| author.read(Field::RecordBody, id, &sealed).is_ok())
    };
    rows.iter().filter(opens).count()
}

#[tokio::test]
async fn who_is_erased_can_be_read_by_nobody_and_the_trail_is_intact() {
    let test = signing().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("the bicycle is blue").await;
    let picture = test.hosts(png(8, 8));
    ann.sends(Some("and has a bell"), std::slice::from_ref(&picture)).await;
    ben.texts("I will take it").await;
    test.deliver().await;
    let conversation: String = test.value("select id::text from conversation").await;
    seal(&test).await;
    let kept = vec![keep(&sign(&test).await, &crate::seal::signer())];
    let (her, him) = (id(&test, &ann).await, id(&test, &ben).await);
    let before = dump(&test);
    assert!(has_key(&test, &before, her) && has_key(&test, &before, him), "the search finds keys");
    assert!(readable(&test, her).await > 2);
    let his = readable(&test, him).await;
    ann.texts("last words").await;
    ben.texts("are you there?").await;

    let said = erase(&test, &ann, &["--preview"]).done();
    for line in ["1  open conversations", "1  pictures", "2  texts wait"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(has_key(&test, &dump(&test), her), "a preview changes nothing");
    let said = erase(&test, &ann, &[]);
    assert!(said.err.contains("nobody can be asked here: give --yes"), "{said:?}");
    let said = erase(&test, &ann, &["--case", "ticket 4711", "--yes"]).done();
    assert!(said.contains("erased: 1 conversations ended, 2 texts dropped, 1 pictures"), "{said}");
    assert!(!said.contains("opt-out"), "{said}");
    assert_eq!(test.column("select body from outbox").await, ["This conversation has ended."]);
    let dropped = "select count(*) from audit_record where kind = 'dropped' and detail = 'erased'";
    assert_eq!(test.value::<i64>(dropped).await, 2);

    test.deliver().await;
    assert_eq!(ben.last(), "This conversation has ended.");
    assert!(!ben.inbox().contains(&"last words".to_owned()));
    let after = dump(&test);
    assert!(!has_key(&test, &after, her) && has_key(&test, &after, him));
    for told in [&ann.number.digits()[1..], "bicycle", &format!("{:032x}", tag(&test, &ann))] {
        assert!(!after.contains(told), "{told}");
    }
    assert_eq!(readable(&test, her).await, 0);
    assert!(readable(&test, him).await > his, "the other's words stay");

    seal(&test).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let report = verified(&mut conn, &kept).await;
    assert!(report.is_intact() && report.unsealed == 0, "{report:?}");
    let shown = maskline(&test, &["audit", "show", &conversation]).done();
    assert!(shown.contains("(words erased on ") && shown.contains("I will take it"), "{shown}");
    assert!(!shown.contains("bicycle"), "{shown}");
    let record = "select concat_ws(' | ', kind, rule, body) from audit_record
        where kind in ('erased', 'staff') and person_id is not null order by at, id";
    assert_eq!(
        test.column(record).await,
        [
            "staff | people_preview | asked by letter",
            "staff | people_preview | asked by letter",
            "erased",
            "staff | people_erase | asked by letter (case ticket 4711)"
        ]
    );
    assert_eq!(std::fs::read_dir(&test.folder).unwrap().count(), 1);
    worker::remove_old(&test.app).await.unwrap();
    assert_eq!(std::fs::read_dir(&test.folder).unwrap().count(), 0, "the picture is gone");

    // By number they are unknown, by id they are gone.
    assert!(erase(&test, &ann, &["--yes"]).failed().contains("nobody with this number is known"));
    let again = maskline(&test, &["people", "erase", &her.to_string(), WHY[0], WHY[1], "--yes"]);
    assert!(again.failed().contains("this person was erased on "));
}

fn tag(test: &TestApp, phone: &Phone<'_>) -> u128 {
    u128::from_be_bytes(test.app.pen.vault.tag(&phone.number).try_into().unwrap())
}

#[tokio::test]
async fn who_comes_back_is_somebody_new() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = id(&test, &ann).await;
    erase(&test, &ann, &["--yes"]).done();
    test.deliver().await;
    ann.texts("hello?").await;
    test.deliver().await;
    let after = id(&test, &ann).await;
    assert_ne!(before, after);
    assert!(!ben.inbox().contains(&"hello?".to_owned()));
    // The other cannot call back whom there is not any more.
    ben.texts("REOPEN").await;
    test.deliver().await;
    let for_her = format!(
        "select count(*) from audit_record where recipient_id = '{before}' and rule = 'reopen_wish'"
    );
    assert_eq!(test.value::<i64>(&for_her).await, 0);
    let code = ann.starts().await;
    ben.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    ann.texts("it is me again").await;
    test.deliver().await;
    assert_eq!(ben.last(), "it is me again");
}

#[tokio::test]
async fn an_ended_conversation_is_not_reopened_with_somebody_who_was_erased() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ben.texts("LEAVE").await;
    test.deliver().await;
    erase(&test, &ann, &["--yes"]).done();
    ben.texts("REOPEN").await;
    test.deliver().await;
    let wishes = "select count(*) from audit_record where rule = 'reopen_wish'";
    assert_eq!(test.value::<i64>(wishes).await, 0);
    assert!(!test.trail().await.contains(&"dropped".to_owned()));
}

#[tokio::test]
async fn an_opt_out_outlives_its_person_by_nothing_but_a_tag() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ben.texts("UNSUBSCRIBE").await;
    test.deliver().await;
    let heard = ben.inbox().len();
    assert!(erase(&test, &ben, &["--yes"]).done().contains("Their opt-out stays in force"));
    test.deliver().await;
    assert_eq!(maskline(&test, &["optout", "list", "--format", "json"]).json(), json!([]));
    assert_eq!(test.value::<i64>("select count(*) from suppressed_tag where is_own").await, 1);

    ben.texts("hello?").await;
    let code = ann.starts().await;
    test.deliver().await;
    assert_eq!(ben.inbox().len(), heard, "silence");
    assert_eq!(test.value::<i64>("select count(*) from suppressed_tag").await, 0);
    let listed = maskline(&test, &["optout", "list", "--format", "json"]).json();
    assert_eq!(
        (&listed[0]["rule"], &listed[0]["channel"]),
        (&json!("erased_before"), &json!("text"))
    );
    let trail = "select kind || ' ' || rule from audit_record where rule = 'erased_before'";
    assert_eq!(test.column(trail).await, ["opted_out erased_before"]);
    ben.texts("START").await;
    ben.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    ben.texts("back again").await;
    test.deliver().await;
    assert_eq!(ann.last(), "back again");
}

#[tokio::test]
async fn a_text_that_waits_while_its_sender_is_erased_is_taken_as_somebody_news() {
    let test = TestApp::start().await;
    let (ann, _ben) = test.conversation().await;
    // What may share a commit is tried alone then; a command is alone from the start.
    for words in ["caught in between", "HELP"] {
        let her = id(&test, &ann).await;
        let mut tx = test.db.begin().await.unwrap();
        let now = test.app.clock.now();
        people::destroy(&mut tx, her, now).await.unwrap();
        let waits = async {
            test.lock_waiters(1).await;
            tx.commit().await.unwrap();
        };
        let (texted, ()) = tokio::join!(ann.tries(words), waits);
        assert_eq!(texted.statuses, [Some(200)], "without a second delivery: {texted:?}");
        let anew = id(&test, &ann).await;
        assert_ne!(anew, her);
        assert_eq!(readable(&test, anew).await, 1, "taken in as somebody new");
    }
    let refused = "select count(*) from audit_record where kind = 'refused'";
    assert_eq!(test.value::<i64>(refused).await, 0);
    test.deliver().await;
}

#[tokio::test]
async fn a_number_is_typed_and_never_an_argument() {
    let test = TestApp::start().await;
    let (ann, _) = test.conversation().await;
    let said = maskline(&test, &["people", "erase", ann.number.as_str(), WHY[0], WHY[1]]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("stays in the shell's history"), "{said:?}");
    let said = maskline(&test, &["people", "erase", "-", "--reason", "+12065550142 asked"]);
    assert!(said.failed().contains("--reason holds what looks like a telephone number"));
    let said = maskline_reading(&test, &["people", "erase", "-", WHY[0], WHY[1]], "206-555\n");
    let said = said.failed();
    assert!(said.contains("not a telephone number") && !said.contains("206"), "{said}");
}

#[tokio::test]
async fn a_person_gets_what_they_wrote_and_what_reached_them() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let (ann, ben) = test.conversation().await;
    ann.texts("the bicycle is blue").await;
    ben.texts("I will take it").await;
    test.deliver().await;
    ben.texts("REPORT").await;
    test.deliver().await;
    let (her, him) = (id(&test, &ann).await, id(&test, &ben).await);
    let folder =
        std::env::temp_dir().join(format!("maskline-export-{}", Uuid::from_u128(rand::random())));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("ann.jsonl");
    let export = ["people", "export", "-", file.to_str().unwrap(), WHY[0], WHY[1]];
    let preview = [&export[..], &["--preview"]].concat();
    let records = "select count(*) from audit_record r join person p on p.id = PERSON
        where p.tag = TAG"
        .replace("TAG", &test.tag(&ann.number));
    let mut lines = Vec::new();
    for (whose, what) in [
        ("any(array[r.person_id, r.author_id])", "records of what they wrote or did"),
        ("r.recipient_id", "records of what they were sent"),
    ] {
        let count: i64 = test.value(&records.replace("PERSON", whose)).await;
        lines.push(format!("{count:>8}  {what}: "));
    }
    let before = maskline_reading(&test, &preview, ann.number.as_str()).done();
    for line in lines {
        assert!(before.contains(&line), "{line}: {before}");
    }
    assert!(before.contains("       1  entries on consent\n"), "{before}");
    assert!(!file.exists(), "a preview writes nothing");
    maskline_reading(&test, &export, &format!("{}\n", ann.number.as_str())).done();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["number"], ann.number.as_str());
    let words: Vec<&str> =
        lines.iter().filter_map(|line| line["record"]["words"].as_str()).collect();
    for said in ["the bicycle is blue", "I will take it"] {
        assert!(words.contains(&said), "{words:?}");
    }
    assert!(lines.iter().any(|line| line["consent"]["kind"] == "granted"));
    for never in [&ben.number.digits()[1..], &him.to_string(), "REPORT", "reported"] {
        assert!(!text.contains(never), "{never}");
    }
    assert!(text.contains(&her.to_string()));
    let made = "select rule from audit_record where kind = 'staff' order by at, id";
    assert_eq!(test.column(made).await, ["people_preview", "people_export"]);
    assert!(
        maskline_reading(&test, &export, ann.number.as_str()).failed().contains("cannot write")
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn words_that_never_arrived_are_not_exported_to_whom_they_were_meant_for() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let (ann, ben) = test.conversation().await;
    ben.texts("not sent yet").await;
    let mut exported = Vec::new();
    let mut conn = test.db.acquire().await.unwrap();
    let (her, now) = (id(&test, &ann).await, test.app.clock.now());
    people::export::write(&mut conn, &test.app.pen.vault, her, now, &mut exported).await.unwrap();
    let exported = String::from_utf8(exported).unwrap();
    assert!(exported.contains("relayed") && !exported.contains("not sent yet"), "{exported}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn whoever_is_erased_the_others_stay(
        talk in prop::collection::vec((0_usize..4, "[a-z]{12}"), 4..16),
        who in 0_usize..4,
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let test = signing().await;
            let phones: Vec<Phone<'_>> =
                (0..4).map(|n| test.phone(&format!("+1206555014{n}"))).collect();
            for pair in phones.chunks(2) {
                let code = pair[0].starts().await;
                pair[1].texts(&format!("JOIN {code}")).await;
            }
            for (n, (phone, words)) in talk.iter().enumerate() {
                phones[*phone].texts(&format!("see {words}")).await;
                if n % 3 == 0 {
                    test.deliver().await;
                }
            }
            let mut ids = Vec::new();
            for phone in &phones {
                ids.push(id(&test, phone).await);
            }
            let mut before = Vec::new();
            for one in &ids {
                before.push(readable(&test, *one).await);
            }
            erase(&test, &phones[who], &["--yes"]).done();
            test.deliver().await;
            seal(&test).await;
            let kept = vec![keep(&sign(&test).await, &crate::seal::signer())];
            let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
            let report = verified(&mut conn, &kept).await;
            assert!(report.is_intact(), "{report:?}");
            let dump = dump(&test);
            for (n, one) in ids.iter().enumerate() {
                let expected = if n == who { 0 } else { before[n] };
                assert!(readable(&test, *one).await >= expected);
                assert_eq!(has_key(&test, &dump, *one), n != who);
                assert!(n != who || readable(&test, *one).await == 0);
            }
            assert!(!dump.contains(&phones[who].number.digits()[1..]));
        });
    }
}
