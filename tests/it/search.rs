//! `maskline audit search`: each filter finds what it asks for, pages hold everything once, and who
//! looks is on record before anything is read.

mod alone;

use jiff::{SignedDuration, Timestamp};
use maskline::{
    audit::{
        Kind,
        search::{self, Cursor, Filter, Found, Query},
    },
    ids::{ConversationId, PersonId},
    phone::PhoneNumber,
};
use serde_json::Value;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    pictures::png,
    program::{Said, maskline, maskline_reading},
    support::{NUMBER, OTHER_NUMBER, Phone, TestApp, at, number},
};

fn searched(test: &TestApp, arguments: &[&str]) -> Said {
    maskline(test, &[&["audit", "search", "--format", "json"], arguments].concat())
}

/// Connects two phones, and returns the conversation.
async fn connect(test: &TestApp, one: &Phone<'_>, other: &Phone<'_>) -> String {
    let code = one.starts().await;
    other.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    test.value("select id::text from conversation order by opened_at desc, id desc limit 1").await
}

/// Two conversations a month apart: in March Ann sent Ben a picture, and he a plea; in April Cara
/// had nothing of Dan's, and left.
struct Told<'a> {
    ann: Phone<'a>,
    ben: Phone<'a>,
    march: String,
    april: String,
    /// The carrier's id of Ben's text.
    plea: String,
}

async fn told(test: &TestApp) -> Told<'_> {
    let (ann, ben) = (test.ann(), test.ben());
    let march = connect(test, &ann, &ben).await;
    test.advance(SignedDuration::from_hours(1));
    let picture = test.hosts(png(8, 8));
    ann.sends(Some("The Bicycle, for 50 €"), std::slice::from_ref(&picture)).await;
    let plea = ben.texts("too much, please stop texting me").await.id;
    test.deliver().await;

    test.advance(SignedDuration::from_hours(31 * 24));
    let cara = test.phone("+12065550151").on_the_other_number();
    let dan = test.phone("+12065550152").on_the_other_number();
    let april = connect(test, &cara, &dan).await;
    cara.texts("is the sofa still there?").await;
    test.deliver().await;
    cara.texts("LEAVE").await;
    test.deliver().await;
    Told { ann, ben, march, april, plea }
}

impl Told<'_> {
    /// The names of the conversations that a search finds. Of what belongs to none, search/alone.rs tells.
    fn found(&self, test: &TestApp, arguments: &[&str]) -> Vec<&'static str> {
        let found = searched(test, arguments).json();
        let name = |row: &Value| match row["conversation"].as_str()? {
            id if id == self.march => Some("march"),
            id if id == self.april => Some("april"),
            other => panic!("{other}"),
        };
        found.as_array().unwrap().iter().filter_map(name).collect()
    }
}

/// Words of a command line, with the ids of people and conversations put in.
fn filled<'a>(command: &'a str, names: &'a [(&str, String)]) -> Vec<&'a str> {
    let name = |word: &'a str| names.iter().find(|(name, _)| *name == word);
    command.split(' ').map(|word| name(word).map_or(word, |(_, id)| id.as_str())).collect()
}

#[tokio::test]
async fn each_filter_finds_what_it_asks_for() {
    let test = TestApp::start().await;
    let told = told(&test).await;
    let id = async |phone: &Phone<'_>| test.person(&phone.number).await.0.to_string();
    let text = "select text_id::text from audit_record where kind = 'relayed' and carrier_id = ";
    let names = [
        ("ANN", id(&told.ann).await),
        ("STRANGER", Uuid::nil().to_string()),
        ("MARCH", told.march.clone()),
        ("PLEA", told.plea.clone()),
        ("PASSED-ON", test.value(&format!("{text}'{}'", told.plea)).await),
    ];
    let (both, none) = (["april", "march"], [""; 0]);
    let table: &[(&str, &[&str])] = &[
        ("--limit 9", &both),
        ("--person ANN", &["march"]),
        ("--person STRANGER", &none),
        ("--conversation MARCH", &["march"]),
        ("--conversation STRANGER", &none),
        ("--conversation MARCH --person STRANGER", &none),
        ("--external PLEA", &["march"]),
        ("--external PASSED-ON", &["march"]),
        ("--external nobody-knows-it", &none),
        ("--external PLEA --conversation STRANGER", &none),
        ("--number +14155550101", &["april"]),
        ("--number +14155550100 --person ANN", &["march"]),
        ("--number +14155550101 --person ANN", &none),
        ("--from 2026-03-01T12:00:00Z --until 2026-03-02T00:00:00Z", &["march"]),
        ("--until 2026-03-01T12:00:00Z", &none),
        ("--from 2026-03-02 --zone UTC", &["april"]),
        ("--direction inbound --from 2026-03-02 --zone UTC", &["april"]),
        ("--kind extended", &none),
        ("--kind ended", &["april"]),
        ("--kind ended --kind flagged", &both),
        ("--kind delivered", &both),
        ("--kind delivered --person ANN", &["march"]),
        ("--kind relayed --direction outbound", &both),
        ("--rule opt_out", &none),
        ("--rule leave", &["april"]),
        ("--state active", &["march"]),
        ("--state ended", &["april"]),
        ("--state waiting", &none),
        ("--with-media", &["march"]),
        ("--with-media --state ended", &none),
        ("--flagged", &["march"]),
        ("--flagged --number +14155550101", &none),
        ("--held", &none),
    ];
    for (command, expected) in table {
        let found = told.found(&test, &filled(command, &names));
        assert_eq!(found, *expected, "{command}");
    }
    let hold = ["holds", "add", "--matter", "a case", "--conversation", &told.march];
    maskline(&test, &hold).done();
    assert_eq!(told.found(&test, &["--held"]), ["march"]);
    let later = ["--from", "2026-03-02", "--until", "2026-03-20", "--zone", "UTC", "--held"];
    assert_eq!(told.found(&test, &later), none);
}

#[tokio::test]
async fn what_is_told_of_a_conversation_is_that_of_the_records_that_fit() {
    let test = TestApp::start().await;
    let told = told(&test).await;
    maskline(&test, &["holds", "add", "--matter", "a case", "--conversation", &told.march]).done();
    let found = searched(&test, &["--kind", "received"]).json();
    let of = |sql: &str| {
        format!("{sql} from audit_record where kind = 'received' and conversation_id = '")
    };
    for (row, id) in found.as_array().unwrap().iter().zip([&told.april, &told.march]) {
        assert_eq!(row["conversation"], **id);
        let count: i64 = test.value(&format!("{}{id}'", of("select count(*)"))).await;
        assert_eq!(row["records"], count);
        let (first, last) = (time(row, "first"), time(row, "last"));
        for (at, which) in [(first, "min"), (last, "max")] {
            let sql = of(&format!("select (extract(epoch from {which}(at)) * 1000000)::bigint"));
            assert_eq!(at.as_microsecond(), test.value::<i64>(&format!("{sql}{id}'")).await);
        }
    }
    let flags =
        |row: &Value| [&row["has_media"], &row["is_flagged"], &row["is_held"]].map(|it| it == true);
    assert_eq!(flags(&found[0]), [false; 3]);
    assert_eq!(flags(&found[1]), [true; 3]);
    assert_eq!((&found[0]["state"], &found[1]["state"]), (&"ended".into(), &"active".into()));
    let (ann, ben) = (test.person(&told.ann.number).await.0, test.person(&told.ben.number).await.0);
    assert_eq!(found[1]["people"], serde_json::json!([ann, ben]));
    assert_eq!(found[1]["masked_numbers"], serde_json::json!([NUMBER]));

    let table = maskline(&test, &["audit", "search", "--with-media"]).done();
    let ends: Vec<String> = [ann, ben].map(|id| id.to_string()[28..].to_owned()).to_vec();
    for told in [&told.march, &ends.join(", "), NUMBER, "pictures, flagged, held", "active"] {
        assert!(table.contains(told), "{told}: {table}");
    }
    assert_eq!(table.lines().count(), 2, "{table}");
}

fn time(row: &Value, which: &str) -> Timestamp {
    at(row[which].as_str().unwrap())
}

#[tokio::test]
async fn times_are_those_of_the_zone_that_is_named() {
    let test = TestApp::start().await;
    // Half past midnight in Berlin, in Central European Summer Time.
    let one = Uuid::from_u128(1);
    insert(&test, one, "2026-03-30T22:30:00Z").await;
    let is_conversation = |row: &&Value| !row["conversation"].is_null();
    let finds = |from: &[&str]| {
        let found = searched(&test, from).json();
        found.as_array().unwrap().iter().filter(is_conversation).count()
    };
    let berlin = ["--zone", "Europe/Berlin"];
    assert_eq!(
        finds(&[&["--from", "2026-03-31", "--until", "2026-04-01"][..], &berlin].concat()),
        1
    );
    assert_eq!(finds(&[&["--from", "2026-03-31T00:30"][..], &berlin].concat()), 1);
    assert_eq!(finds(&[&["--from", "2026-03-31T00:31"][..], &berlin].concat()), 0);
    assert_eq!(finds(&[&["--until", "2026-03-31"][..], &berlin].concat()), 0);
    assert_eq!(finds(&["--from", "2026-03-31", "--zone", "UTC"]), 0);
    assert_eq!(finds(&["--from", "2026-03-31T00:30:00+02:00"]), 1);

    let said = searched(&test, &["--from", "2026-03-31"]).failed();
    assert!(said.contains("--from does not say on whose clock: add --zone"), "{said}");
    for (wrong, why) in [
        (&["--from", "last week"][..], "must be a day or a time"),
        (&["--zone", "Mars/Olympus"], "no time zone that is known"),
        (&["--kind", "sent"], "must be one of received, refused"),
        (&["--rule", "+12065550142"], "must be a rule's name"),
        (&["--state", "over"], "must be waiting, active or ended"),
        (&["--direction", "up"], "must be inbound or outbound"),
        (&["--before", "yesterday"], "must be what an earlier page ended with"),
        (&["--person", "+12065550142"], "stays in the shell's history"),
    ] {
        let said = searched(&test, wrong);
        assert!(said.code == 2 && said.err.contains(why), "{said:?}");
    }
    for (wrong, why) in [
        (
            &["--from", "2026-03-02T00:00:00Z", "--until", "2026-03-02T00:00:00Z"][..],
            "--until must be later",
        ),
        (&["--direction", "inbound", "--kind", "relayed"], "goes that way"),
        (&["--number", "+12065550142"], "none of your masked numbers"),
    ] {
        let said = searched(&test, wrong).failed();
        assert!(said.contains(why), "{said}");
    }
}

/// A record of a conversation, by somebody whom nobody knows.
async fn insert(test: &TestApp, conversation: Uuid, at: &str) {
    test.run(&format!(
        "insert into audit_record (id, at, kind, conversation_id)
         values (gen_random_uuid(), '{at}', 'received', '{conversation}')"
    ))
    .await;
}

#[tokio::test]
async fn a_keyword_is_looked_for_where_that_has_an_end() {
    let test = TestApp::start().await;
    let told = told(&test).await;
    let ann = test.person(&told.ann.number).await.0.to_string();
    let april = ["--from", "2026-04-01", "--until", "2026-04-30", "--zone", "UTC"];
    let keyword = |word: &'static str, scope: &[&str]| {
        told.found(&test, &[scope, &["--keyword", word]].concat())
    };
    assert_eq!(keyword("bicycle", &["--person", &ann]), ["march"]);
    assert_eq!(keyword("  FOR 50 € ", &["--conversation", &told.march]), ["march"]);
    assert_eq!(keyword("ｓｔｏｐ", &["--external", &told.plea]), ["march"]);
    assert_eq!(keyword("sofa", &april), ["april"]);
    assert_eq!(keyword("sofa", &["--person", &ann]), [""; 0]);
    assert_eq!(keyword("bicycle", &april), [""; 0]);
    let row = &searched(&test, &["--person", &ann, "--keyword", "bicycle"]).json()[0];
    assert_eq!(row["records"], 2, "it came in and was passed on");

    let long = ["--from", "2026-03-01", "--until", "2026-04-02", "--zone", "UTC"];
    for scope in [&[][..], &["--state", "active"], &["--until", "2026-04-01T00:00:00Z"], &long] {
        let said = searched(&test, &[scope, &["--keyword", "sofa"]].concat()).failed();
        for what in ["--person", "--conversation", "--external", "31 days"] {
            assert!(said.contains(what), "{said}");
        }
    }
    let said = searched(&test, &["--person", &ann, "--keyword", " "]).failed();
    assert!(said.contains("the keyword is empty"), "{said}");

    // What nobody can read holds no keyword, and hides nothing else.
    maskline(&test, &["people", "erase", &ann, "--reason", "asked", "--yes"]).done();
    assert_eq!(keyword("bicycle", &["--conversation", &told.march]), [""; 0]);
    assert_eq!(keyword("too much", &["--conversation", &told.march]), ["march"]);
    test.deliver().await;
}

/// What stands on record of who looked.
async fn looked(test: &TestApp) -> Vec<String> {
    test.column("select detail from audit_record where rule = 'audit_search' order by at, id").await
}

#[tokio::test]
async fn who_looks_is_on_record_first_without_what_was_typed() {
    let test = TestApp::start().await;
    let told = told(&test).await;
    let (ann, _) = test.person(&told.ann.number).await;
    let typed = format!("{}\n", told.ann.number.as_str());
    let search = ["audit", "search", "--person", "-", "--keyword", "Bicycle", "--by", "Dana"];
    let said = maskline_reading(&test, &search, &typed);
    assert!(said.out.contains(&told.march), "{said:?}");
    let expected = format!("by Dana: looked for person {ann}, a keyword of 7 characters");
    assert_eq!(looked(&test).await, [expected.as_str()]);

    // Nothing can be read, and it is on record all the same that somebody wanted to.
    test.run("alter function audit_record_fits rename to audit_record_fits_not").await;
    maskline(&test, &["audit", "search", "--number", NUMBER, "--kind", "relayed", "--by", "Dana"])
        .failed();
    test.run("alter function audit_record_fits_not rename to audit_record_fits").await;
    let expected = format!("by Dana: looked for masked number {NUMBER}, kind relayed");
    assert_eq!(looked(&test).await[1..], [expected]);

    // Nothing is read of which it cannot be put on record that it was.
    test.run("alter table audit_record add constraint full_up check (false) not valid").await;
    let said = maskline(&test, &["audit", "search"]);
    assert!(said.out.is_empty() && said.code == 1, "{said:?}");
    test.run("alter table audit_record drop constraint full_up").await;

    let said = maskline_reading(&test, &search, "+12065550199\n");
    assert!(said.code == 0 && !said.out.contains(&told.march), "{said:?}");
    maskline(&test, &["audit", "search", "--external", "+12065550199", "--by", "Dana"]).done();
    assert_eq!(
        looked(&test).await[2..],
        [
            "by Dana: looked for a person by a number that nobody has",
            "by Dana: looked for a text with an id of 12 characters"
        ]
    );
    for never in ["icycle", &told.ann.number.digits()[1..], "2065550199"] {
        assert_eq!(test.places(never).await, [""; 0], "{never}");
    }
    assert!(!said.err.contains("2065550199"), "{said:?}");
}

#[tokio::test]
async fn words_that_are_found_stay_in_the_trail() {
    let test = TestApp::start().await;
    let told = told(&test).await;
    let said = searched(&test, &["--conversation", &told.march, "--keyword", "bicycle"]);
    for never in ["icycle", &told.ann.number.digits()[1..]] {
        assert!(!said.out.contains(never) && !said.err.contains(never), "{said:?}");
    }
}

/// A trail of many conversations among few people, whose records lie mixed, some at the same time.
const MIXED: &str = "
    select setseed(0.5);
    select audit_make_partitions('2026-01-01', 3);
    insert into audit_record (id, at, kind, rule, conversation_id, person_id, recipient_id, author_id,
        masked_number)
    select gen_random_uuid(),
        '2026-01-01'::timestamptz + floor(random() * 1800) * interval '1 hour',
        (array['received', 'relayed', 'answered', 'ended'])[1 + floor(random() * 4)],
        (array['talk', 'help', null])[1 + floor(random() * 3)],
        case when random() < 0.9 then md5('c' || floor(random() * 120))::uuid end,
        case when random() < 0.8 then md5('p' || floor(random() * 9))::uuid end,
        case when random() < 0.5 then md5('p' || floor(random() * 9))::uuid end,
        case when random() < 0.1 then md5('p' || floor(random() * 9))::uuid end,
        (array['+14155550100', '+14155550101', null])[1 + floor(random() * 3)]
    from generate_series(1, 1500)";

/// All pages of a search, one after another.
async fn pages(test: &TestApp, filter: &Filter, limit: usize) -> Vec<Found> {
    let mut conn = test.db.begin().await.unwrap();
    let (mut all, mut before): (Vec<Found>, Option<Cursor>) = (Vec::new(), None);
    let now = at("2026-06-01T00:00:00Z");
    loop {
        let query = Query::new(filter.clone(), None, before, now).unwrap();
        let count = all.len();
        let show = |found| all.push(found);
        let vault = &test.app.pen.vault;
        before = search::find(&mut conn, vault, &query, limit, show).await.unwrap();
        assert!(all.len() - count <= limit && all.len() < 10_000, "it goes round in circles");
        match before {
            // It comes back from text as it went.
            Some(cursor) => before = Some(cursor.to_string().parse().unwrap()),
            None => return all,
        }
    }
}

/// What a search must find, said in another way: conversations, or records of none, by their ids.
async fn expected(test: &TestApp, filter: &Filter) -> Vec<(Uuid, i64)> {
    let kinds: Vec<&str> = filter.kinds.iter().map(|kind| kind.as_str()).collect();
    let rows = sqlx::query(
        "select coalesce(conversation_id, id), count(*)
         from audit_record
         where ($1::uuid is null or person_id = $1 or recipient_id = $1 or author_id = $1)
             and ($2::text is null or masked_number = $2)
             and (cardinality($3::text[]) = 0 or kind = any($3))
             and ($4::text is null or rule = $4)
             and at >= coalesce($5::text::timestamptz, '-infinity')
             and at < coalesce($6::text::timestamptz, 'infinity')
         group by 1
         order by (array_agg((at, id)::text order by at desc, id desc))[1] desc",
    );
    let rows = rows
        .bind(filter.person.map(PersonId::uuid))
        .bind(filter.masked_number.as_ref().map(PhoneNumber::as_str))
        .bind(kinds)
        .bind(filter.rule.as_deref())
        .bind(filter.from.map(|at| at.to_string()))
        .bind(filter.until.map(|at| at.to_string()));
    let pair = |row: &PgRow| (row.get(0), row.get(1));
    rows.fetch_all(&test.db).await.unwrap().iter().map(pair).collect()
}

/// The id of the conversation, or of the record that belongs to none.
fn subject(found: &Found) -> Uuid {
    let record = || found.record.map(maskline::ids::RecordId::uuid);
    found.conversation.map(ConversationId::uuid).or_else(record).unwrap()
}

#[tokio::test]
async fn all_pages_together_hold_everything_once() {
    let test = TestApp::start().await;
    test.run(MIXED).await;
    let person = async |n: u8| {
        let id: Uuid = test.value(&format!("select md5('p{n}')::uuid")).await;
        Some(id.into())
    };
    let all = Filter::default;
    let filters = [
        all(),
        Filter { person: person(3).await, ..all() },
        Filter { person: person(4).await, kinds: vec![Kind::Received, Kind::Ended], ..all() },
        Filter { masked_number: Some(number(OTHER_NUMBER)), rule: Some("help".into()), ..all() },
        Filter {
            from: Some(at("2026-01-20T05:00:00Z")),
            until: Some(at("2026-02-10T00:00:00Z")),
            ..all()
        },
        Filter {
            person: person(5).await,
            masked_number: Some(number(NUMBER)),
            until: Some(at("2026-02-10T00:00:00Z")),
            ..all()
        },
    ];
    for filter in filters {
        let expected = expected(&test, &filter).await;
        assert!(expected.len() > 9, "{filter:?}");
        for limit in [1, 7, 1000] {
            let found = pages(&test, &filter, limit).await;
            let found: Vec<_> =
                found.iter().map(|it| (subject(it), i64::try_from(it.records).unwrap())).collect();
            assert_eq!(found, expected, "{filter:?}, {limit} a page");
        }
    }
}

#[tokio::test]
async fn what_happens_between_two_pages_moves_nothing() {
    let test = TestApp::start().await;
    test.run(MIXED).await;
    let before = pages(&test, &Filter::default(), 1000).await;
    let first = searched(&test, &["--limit", "5"]).json();
    // The last conversation of all goes on.
    let last = before.iter().rev().find_map(|it| it.conversation).unwrap();
    insert(&test, last.uuid(), "now").await;
    let cursor = first[4]["cursor"].as_str().unwrap();
    let rest = searched(&test, &["--limit", "1000", "--before", cursor]).json();
    let ids = first.as_array().unwrap().iter().chain(rest.as_array().unwrap());
    let id = |it: &Value| it["conversation"].as_str().or(it["record"].as_str()).unwrap().to_owned();
    let ids: Vec<String> = ids.map(id).collect();
    let expected: Vec<String> = before.iter().map(|it| subject(it).to_string()).collect();
    assert_eq!(ids, expected);

    let said = maskline(&test, &["audit", "search", "--limit", "5"]);
    assert!(said.err.contains("The same again with --before 2026-"), "{said:?}");
    let said = maskline(&test, &["audit", "search", "--limit", "1000"]);
    assert!(!said.err.contains("--before"), "{said:?}");
}

#[tokio::test]
async fn a_search_without_a_result_says_so() {
    let test = TestApp::start().await;
    let said = maskline(&test, &["audit", "search", "--kind", "extended"]).done();
    assert!(said.starts_with("CONVERSATION ") && said.lines().count() == 1, "{said}");
    assert_eq!(searched(&test, &["--kind", "extended"]).json(), serde_json::json!([]));
    let help = maskline(&test, &["audit", "search", "--help"]).done();
    for told in ["Example:", "--person -", "--zone Europe/Berlin", "31 days"] {
        assert!(help.contains(told), "{told}: {help}");
    }
}
