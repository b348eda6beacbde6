//! What a dump of the database gives away: nothing that a person's number, words or pictures say. And
//! the keys: one that is wrong or missing stops the start, and the master key is changed on the way.

use maskline::vault::{self, OpenError, Progress, Vault};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::{
    pictures::png,
    program::{maskline, maskline_reading, maskline_with},
    support::{Database, MASTER_KEY, NUMBER, TestApp, Wishes, flat},
};

const OTHER_KEY: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";

/// What of these stands in a dump, in the clear or as the hexadecimal of its bytes.
async fn given_away(test: &TestApp, secrets: &[&str]) -> Vec<String> {
    let dump = test.dump().await;
    let hex =
        |text: &str| text.bytes().fold(String::new(), |all, byte| all + &format!("{byte:02x}"));
    let found = secrets.iter().flat_map(|secret| {
        let hex = hex(secret);
        let rows = dump.iter().filter(move |row| row.contains(secret) || row.contains(&hex));
        rows.map(move |row| format!("{secret} in {}", row.split(' ').next().unwrap()))
    });
    found.collect()
}

#[tokio::test]
async fn a_dump_gives_away_no_number_no_words_and_no_picture() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let picture = test.hosts(png(8, 8));
    ann.texts("the bicycle is blue").await;
    ben.sends(Some("here is the lock"), std::slice::from_ref(&picture)).await;
    let waiting = [
        &ann.number.digits()[1..],
        &ben.number.digits()[1..],
        "the bicycle is blue",
        "here is the lock",
        picture.url.as_str(),
        "called, ticket 4711",
        "This conversation has ended",
    ];
    assert_eq!(given_away(&test, &waiting).await, [""; 0], "while texts wait");
    test.deliver().await;
    assert!(ann.inbox().iter().any(|text| text == "here is the lock"), "it works all the same");
    test.post(&flat("to-a-stranger", &ann.number, "+14155550199", "for nobody")).await;
    test.post(&json!({"odd": true, "body": "what is this?"})).await;
    let ben_number = ben.number.as_str().to_owned();
    maskline(&test, &["optout", "add", &ben_number, "--evidence", "called, ticket 4711"]).done();
    test.deliver().await;
    let said = [&waiting[..], &["for nobody", "what is this?"]].concat();
    assert_eq!(given_away(&test, &said).await, [""; 0], "afterwards");

    let listed = maskline(&test, &["optout", "list", "--format", "json"]).json();
    assert_eq!(listed[0]["evidence"], "called, ticket 4711", "who has the key reads it");
    assert_eq!(listed[0]["last_two_digits"], "87");
    // The pictures lie elsewhere, and are sealed there.
    let files: Vec<_> = std::fs::read_dir(&test.folder).unwrap().collect();
    assert_eq!(files.len(), 1);
    let file = std::fs::read(files[0].as_ref().unwrap().path()).unwrap();
    assert!(!file.windows(4).any(|part| part == b"\x89PNG" || part == b"IHDR"), "{file:?}");
}

#[tokio::test]
async fn staff_read_a_conversation_and_that_is_on_record() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("the lock is\nin the shed").await;
    ben.texts("thank you").await;
    test.deliver().await;
    let id: String = test.value("select id::text from conversation").await;

    let table = maskline(&test, &["audit", "show", &id, "--by", "Dana"]).done();
    assert!(table.contains("the lock is in the shed") && table.contains("thank you"), "{table}");
    for phone in [&ann, &ben] {
        assert!(!table.contains(&phone.number.digits()[1..]), "{table}");
    }
    let looked = "select rule || ' ' || detail from audit_record where kind = 'staff'";
    assert_eq!(test.column(looked).await, [format!("audit_show by Dana: words of {id} were read")]);

    // Whoever has no key any more is not read; the other is.
    test.run(&format!(
        "update person set tag = null, wrapped_key = null, number_sealed = null where tag = {}",
        test.tag(&ann.number)
    ))
    .await;
    let shown = maskline(&test, &["audit", "show", &id, "--format", "json"]).json();
    let shown = shown.as_array().unwrap();
    let relayed = |record: &&serde_json::Value| record["kind"] == "relayed";
    let words: Vec<_> =
        shown.iter().filter(relayed).map(|it| (&it["words"], &it["is_unreadable"])).collect();
    assert_eq!(words, [(&json!(null), &json!(true)), (&json!("thank you"), &json!(false))]);
}

#[tokio::test]
async fn a_wrong_key_opens_nothing_and_says_which_is_needed() {
    let test = TestApp::start().await;
    test.conversation().await;
    let before = test.dump().await;
    let mut conn = test.db.acquire().await.unwrap();
    let wrong = Vault::open(&mut conn, &OTHER_KEY.parse().unwrap()).await.unwrap_err();
    assert!(matches!(wrong, OpenError::WrongKey { .. }), "{wrong}");
    for command in [&["optout", "list"][..], &["keys", "rotate"], &["keys", "seal"]] {
        let said = maskline_with(&test, command, &[("MASKLINE_MASTER_KEY", OTHER_KEY)]).failed();
        assert!(said.contains("MASKLINE_MASTER_KEY is not this database's"), "{said}");
        assert!(said.contains("from your backup of it"), "{said}");
        let said = maskline_with(&test, command, &[("MASKLINE_MASTER_KEY", "")]).failed();
        assert!(said.contains("MASKLINE_MASTER_KEY is empty"), "{said}");
    }
    assert_eq!(test.dump().await, before, "nothing was changed");
}

#[tokio::test]
async fn the_master_key_is_changed_while_people_talk() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let both = format!("{OTHER_KEY},{MASTER_KEY}");
    let rotate =
        |keys: &str| maskline_with(&test, &["keys", "rotate"], &[("MASKLINE_MASTER_KEY", keys)]);
    // Somebody comes whose key an old process wraps, after the first round.
    assert!(rotate(&both).done().starts_with("4 keys wrapped anew by "));
    test.phone("+12065550199").texts("HELP").await;
    test.deliver().await;
    assert!(rotate(&both).done().starts_with("1 keys wrapped anew"), "the one who came since");
    assert!(rotate(&both).done().starts_with("All keys are wrapped by "));

    let mut conn = test.db.acquire().await.unwrap();
    let vault = Vault::open(&mut conn, &OTHER_KEY.parse().unwrap()).await.unwrap();
    assert!(
        Vault::open(&mut conn, &MASTER_KEY.parse().unwrap()).await.is_err(),
        "the old one is done with"
    );
    for phone in [&ann, &ben] {
        assert_eq!(vault.tag(&phone.number), test.app.pen.vault.tag(&phone.number));
        let sql = "select id, wrapped_key, number_sealed from person where tag = $1";
        let (id, key, number): (uuid::Uuid, Vec<u8>, Vec<u8>) =
            sqlx::query_as(sql).bind(vault.tag(&phone.number)).fetch_one(&test.db).await.unwrap();
        assert_eq!(vault.number(id.into(), &key, &number).unwrap(), phone.number);
    }
}

#[tokio::test]
async fn a_change_of_the_master_key_that_is_cut_off_goes_on_where_it_was() {
    // As every process is started before: it knows both.
    let known = format!("{MASTER_KEY},{OTHER_KEY}");
    let settings = &[("MASKLINE_MASTER_KEY", known.as_str())];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    let (_, ben) = test.conversation().await;
    let many: Vec<String> = (0..700).map(|n| format!("+1303555{n:04}")).collect();
    maskline_reading(&test, &["optout", "add", "-", "--channel", "import"], &many.join("\n"))
        .done();
    let left = "select count(*) from person
         where substr(wrapped_key, 1, 8) = (select substr(wrapped_key, 1, 8) from before)";
    test.run("create table before as select wrapped_key from person limit 1").await;
    assert_eq!(test.value::<i64>(left).await, 702);

    let both = format!("{OTHER_KEY},{MASTER_KEY}");
    let masters = both.parse().unwrap();
    // Somebody of the second batch is held, and while it waits for them its connection is cut.
    let mut held = test.db.begin().await.unwrap();
    let last = "select from person order by id desc limit 1 for update";
    sqlx::query(last).execute(&mut *held).await.unwrap();
    let mut conn = test.db.acquire().await.unwrap();
    let session: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *conn).await.unwrap();
    let mut told = Vec::new();
    let rotates =
        vault::rotate(&mut conn, &masters, |now: Progress| told.push((now.done, now.left)));
    let cuts = async {
        test.lock_waiters(1).await;
        test.run(&format!("select pg_terminate_backend({session})")).await;
    };
    let (cut_off, ()) = futures_util::join!(rotates, cuts);
    cut_off.unwrap_err();
    held.rollback().await.unwrap();
    assert_eq!(told, [(500, 202)]);
    assert_eq!(test.value::<i64>(left).await, 202);

    // The two keys of the database itself come last. Those whose keys are wrapped anew talk on with those whose keys are not.
    ben.texts("still here").await;
    test.phone("+12065550199").texts("HELP").await;
    test.deliver().await;
    let rotate = ["keys", "rotate", "--by", "ann"];
    let said = maskline_with(&test, &rotate, &[("MASKLINE_MASTER_KEY", &both)]).done();
    assert!(said.starts_with("205 keys wrapped anew by "), "{said}");
    assert_eq!(test.value::<i64>(left).await, 0);
    let noted = "select detail from audit_record where rule = 'keys_rotate' order by at, id";
    let noted = test.column(noted).await;
    let [began, ended] = &noted[..] else { panic!("{noted:?}") };
    assert!(began.starts_with("by ann: began to wrap keys by "), "{began}");
    assert!(ended.starts_with("by ann: 205 keys wrapped by "), "{ended}");
}

#[tokio::test]
async fn while_a_key_is_wrapped_by_another_the_old_one_stays_needed() {
    let test = TestApp::start().await;
    test.conversation().await;
    test.run(
        "update person set wrapped_key = '\\x00' || substr(wrapped_key, 2) where tag is not null",
    )
    .await;
    let both = format!("{OTHER_KEY},{MASTER_KEY}");
    let said =
        maskline_with(&test, &["keys", "rotate"], &[("MASKLINE_MASTER_KEY", &both)]).failed();
    assert!(said.contains("2 keys are wrapped by neither of the two master keys"), "{said}");
    let mut conn = test.db.acquire().await.unwrap();
    Vault::open(&mut conn, &MASTER_KEY.parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_text_that_somebody_changed_is_dropped_and_holds_up_nobody() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("changed on the way").await;
    ann.texts("as it was").await;
    test.run(
        "update outbox set body_sealed = set_byte(body_sealed, 30, get_byte(body_sealed, 30) # 1)
         where seq = (select min(seq) from outbox)",
    )
    .await;
    test.deliver().await;
    assert_eq!(ben.last(), "as it was");
    assert!(!ben.inbox().iter().any(|text| text.contains("changed")));
    let dropped = "select kind || ' ' || detail from audit_record where kind = 'dropped'";
    assert_eq!(test.column(dropped).await, ["dropped unreadable"]);
}

/// What a version before encryption left behind.
const PLAIN: &str = "
    insert into masked_number (id, number, added_at)
    values ('00000000-0000-0000-0000-0000000000a1', '+14155550100', now());
    insert into person (id, number, first_seen_at) values
        ('00000000-0000-0000-0000-000000000001', '+12065550142', now()),
        ('00000000-0000-0000-0000-000000000002', '+12065550187', now());
    insert into conversation (id, code, code_expires_at, state, opened_at)
    values ('00000000-0000-0000-0000-0000000000c1', 'K7QM4XRT', now(), 'active', now());
    insert into participant (conversation_id, seat, person_id, masked_number_id, joined_at)
    select '00000000-0000-0000-0000-0000000000c1', n,
        ('00000000-0000-0000-0000-00000000000' || n)::uuid,
        '00000000-0000-0000-0000-0000000000a1', now()
    from generate_series(1, 2) n;
    insert into outbox (id, kind, conversation_id, recipient_id, masked_number_id, body, queued_at, due_at)
    values ('00000000-0000-0000-0000-0000000000d1', 'relay', '00000000-0000-0000-0000-0000000000c1',
        '00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-0000000000a1',
        'still to be sent', now(), now());
    insert into audit_record (id, at, kind, person_id, text_id, body, media) values
        (gen_random_uuid(), now(), 'relayed', '00000000-0000-0000-0000-000000000001',
            '00000000-0000-0000-0000-0000000000d1', 'still to be sent', null),
        (gen_random_uuid(), '2020-01-01', 'received', '00000000-0000-0000-0000-000000000001', null,
            'said long ago', '[{\"url\": \"https://media.example/1\"}]'),
        (gen_random_uuid(), now(), 'answered', null, null, 'Maskline says hello', null);
    insert into consent_event (id, at, person_id, kind, rule, channel, evidence) values
        (gen_random_uuid(), now(), '00000000-0000-0000-0000-000000000001', 'revoked',
            'staff_opt_out', 'staff', 'a letter'),
        (gen_random_uuid(), now(), '00000000-0000-0000-0000-000000000001', 'granted',
            'start', 'text', 'mdr2-a-text');
    insert into suppression values ('00000000-0000-0000-0000-000000000001', 'staff_opt_out', now())";

#[tokio::test]
async fn what_a_version_before_encryption_wrote_is_sealed_once() {
    let database = Database::empty().await;
    let mut conn = PgConnection::connect(&database.url).await.unwrap();
    for migration in
        maskline::database::MIGRATIONS.iter().filter(|it| it.version < 20_261_128_000_000)
    {
        sqlx::raw_sql(sqlx::AssertSqlSafe(migration.sql.as_str().to_owned()))
            .execute(&mut conn)
            .await
            .unwrap();
    }
    sqlx::raw_sql(PLAIN).execute(&mut conn).await.unwrap();
    let rest = maskline::database::MIGRATIONS.iter().filter(|it| it.version >= 20_261_128_000_000);
    for migration in rest {
        sqlx::raw_sql(sqlx::AssertSqlSafe(migration.sql.as_str().to_owned()))
            .execute(&mut conn)
            .await
            .unwrap();
    }
    let masters = MASTER_KEY.parse().unwrap();
    let refused = Vault::open(&mut conn, &masters).await.unwrap_err();
    assert!(refused.to_string().contains("maskline keys seal"), "{refused}");

    let vault = Vault::unlock(&mut conn, &masters).await.unwrap();
    let mut counts = Vec::new();
    for part in vault::seal::Part::ALL {
        let mut tx = conn.begin().await.unwrap();
        counts.push(vault::seal::seal(&mut tx, &vault, part).await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(counts, [2, 1, 0, 1, 3]);
    vault::seal::finish(&mut conn).await.unwrap();
    Vault::open(&mut conn, &masters).await.unwrap();

    let dump: Vec<String> = sqlx::query_scalar(
        "select t::text from audit_record t union all select t::text from outbox t
         union all select t::text from person t union all select t::text from consent_event t",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    for secret in
        ["2065550142", "still to be sent", "said long ago", "media.example", "hello", "letter"]
    {
        assert!(!dump.iter().any(|row| row.contains(secret)), "{secret}: {dump:#?}");
    }
    assert!(dump.iter().any(|row| row.contains("mdr2-a-text")), "the ids of texts stay");
    let mut tx = conn.begin().await.unwrap();
    let sql = "select body from audit_record order by body";
    crate::support::opened::open(&mut tx, &vault, sql, "true").await;
    let words: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *tx).await.unwrap();
    assert_eq!(words, ["Maskline says hello", "said long ago", "still to be sent"]);
    tx.rollback().await.unwrap();
    let update = sqlx::query("update audit_record set detail = 'forged' where false");
    assert!(update.execute(&mut conn).await.is_err(), "the trail is closed again");
    let plain = format!(
        "insert into person (id, number, first_seen_at) values (gen_random_uuid(), '{NUMBER}', now())"
    );
    let plain = sqlx::query(sqlx::AssertSqlSafe(plain)).execute(&mut conn).await;
    assert!(plain.is_err(), "nothing is written in the clear any more");
}
