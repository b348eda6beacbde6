//! Pages of what is long: bounded, one after the other, and nothing is left out.

use std::collections::BTreeSet;

use maskline::console::staff::Role;

use super::desk::Desk;
use crate::support::TestApp;

/// What stands behind each of these marks on a page, up to the next quote.
fn marked<'a>(body: &'a str, mark: &str) -> Vec<&'a str> {
    body.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The address behind a link that is called so.
fn link(body: &str, rel: &str) -> Option<String> {
    let mark = format!("rel=\"{rel}\" href=\"");
    marked(body, &mark).first().map(|href| href.replace("&#38;", "&"))
}

/// Texts that came in and were passed on; what the carrier says of each comes after all of them.
const TALK: &str = "
    insert into audit_record (id, at, kind, rule, conversation_id, carrier_id, text_id)
    select md5(kind || n)::uuid, at, kind, rule, conversation_id, carrier_id, text_id
    from (select id as conversation_id from conversation) conversation
    cross join generate_series(1, 1500) n
    cross join lateral (values
        ('received', 'talk', '2026-03-01T13:00:00Z'::timestamptz + n * interval '1 s', 'in ' || n, null),
        ('relayed', 'talk', '2026-03-01T13:00:00.5Z'::timestamptz + n * interval '1 s', 'in ' || n, md5('text' || n)::uuid)
    ) record (kind, rule, at, carrier_id, text_id);
    insert into audit_record (id, at, kind, text_id)
    select md5('delivered' || n)::uuid, '2026-03-02T13:00:00Z'::timestamptz + n * interval '1 s', 'delivered',
        md5('text' || n)::uuid
    from generate_series(1, 1500) n";

#[tokio::test]
async fn a_long_transcript_comes_in_pages_that_leave_nothing_out() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    let id: String = test.value("select id::text from conversation").await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let path = format!("/conversations/{id}");
    let short = desk.get(&path, Some(&erin)).await.body;
    assert!(!short.contains("class=\"leaf\""), "there is one page: {short}");
    let before = marked(&short, " id=\"r-").len();
    test.run(TALK).await;

    let (mut next, mut seen, mut pages) = (Some(path.clone()), Vec::new(), Vec::new());
    while let Some(at) = next {
        let body = desk.get(&at, Some(&erin)).await.body;
        let turns = marked(&body, " id=\"r-");
        assert!(turns.len() <= 200 && body.len() < 400_000, "{} turns", turns.len());
        // Each text stands with what became of it, though that was long afterwards.
        let texts = body.matches("<strong class=\"mono\">").count();
        assert!(body.matches("<li>delivered <time>").count() + before >= texts, "{at}");
        assert!(!body.contains("on a text that is not here"), "{at}");
        seen.extend(turns.into_iter().map(str::to_owned));
        next = link(&body, "next");
        pages.push((at, body));
    }
    assert_eq!(seen.len(), before + 1500);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "each once");
    assert_eq!(pages.len(), seen.len().div_ceil(200));
    let says = format!("Entries 1 to 200 of 1\u{202f}{}", seen.len() - 1000);
    assert!(pages[0].1.contains(&says), "{says}");
    assert!(link(&pages[0].1, "prev").is_none());
    // What happens meanwhile moves nothing.
    let (at, third) = &pages[2];
    test.run(
        "insert into audit_record (id, at, kind, conversation_id)
         select gen_random_uuid(), now(), 'ended', id from conversation",
    )
    .await;
    let again = desk.get(at, Some(&erin)).await.body;
    assert_eq!(marked(&again, " id=\"r-"), marked(third, " id=\"r-"));
    let back = desk.get(&link(third, "prev").unwrap(), Some(&erin)).await.body;
    assert_eq!(marked(&back, " id=\"r-"), marked(&pages[1].1, " id=\"r-"));
    // How much of it was read is on record.
    let read = "select detail from audit_record where rule = 'console_transcript' order by at, id";
    let read = test.column(read).await;
    let few = read[0].strip_suffix(" records").unwrap().rsplit(' ').next().unwrap();
    let of = format!(" of {} records", few.parse::<usize>().unwrap() + 4500);
    assert_eq!(read.iter().filter(|it| it.ends_with(&of)).count(), pages.len(), "{read:#?}");
    // An address that is none leads to the beginning.
    let wrong = desk.get(&format!("{path}?from=yesterday"), Some(&erin)).await.body;
    assert_eq!(marked(&wrong, " id=\"r-"), marked(&pages[0].1, " id=\"r-"));
}

#[tokio::test]
async fn many_tasks_come_in_pages_open_and_closed() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    // Ten at a time are due at the same moment; a third is closed, two at the same moment each.
    // Each is about somebody else, who is left out.
    test.run("drop index task_open_once").await;
    test.run(
        "insert into task (id, kind, transcript, raised_at, due_at, closed_at, outcome)
         select md5('task' || n)::uuid, 'report', '{}', '2026-03-01T12:00:00Z',
             '2026-03-02T12:00:00Z'::timestamptz + n / 10 * interval '1 h',
             case when n % 3 = 0 then '2026-03-01T12:00:00Z'::timestamptz + n / 6 * interval '1 s' end,
             case when n % 3 = 0 then 'looked into, ' || n || '.' end
         from generate_series(1, 2400) n",
    )
    .await;
    for (first, mark, all) in
        [("/tasks", "action=\"/tasks/", 1600), ("/tasks?closed=1", "<td>looked into, ", 800)]
    {
        let (mut next, mut seen, mut pages) = (Some(first.to_owned()), Vec::new(), 0);
        while let Some(at) = next {
            let body = desk.get(&at, Some(&erin)).await.body;
            let ends = |part: &str| part.split(['.', '/']).next().unwrap().to_owned();
            let found: Vec<String> = body.split(mark).skip(1).map(ends).collect();
            assert!(found.len() <= 50 && body.len() < 150_000, "{at}: {}", found.len());
            seen.extend(found);
            next = link(&body, "next");
            pages += 1;
        }
        assert_eq!((seen.len(), pages), (all, all / 50), "{first}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), all, "{first}: each once");
    }
    assert!(desk.get("/", Some(&erin)).await.body.contains("1600"));

    // Whoever closes one stays where they are.
    let first = desk.get("/tasks", Some(&erin)).await.body;
    assert!(first.contains("Tasks 1 to 50 of 1\u{202f}600"), "{first}");
    let third = desk.get(&link(&first, "next").unwrap(), Some(&erin)).await.body;
    let third = link(&third, "next").unwrap();
    let from = third.split("from=").nth(1).unwrap().to_owned();
    let body = desk.get(&third, Some(&erin)).await.body;
    assert!(body.contains("Tasks 101 to 150 of") && body.contains(&format!("value=\"{from}\"")));
    let forms = marked(&body, "action=\"");
    let task = forms.into_iter().filter(|it| it.starts_with("/tasks/")).nth(2).unwrap().to_owned();
    let form = |words: &str| vec![("outcome", words.to_owned()), ("from", from.clone())];
    let wrong = desk.post(&task, Some(&erin), &form("")).await;
    assert!(wrong.status == 422 && wrong.body.contains("<details open"), "{}", wrong.body);
    assert!(wrong.body.contains("Tasks 101 to 150 of"));
    let closed = desk.post(&task, Some(&erin), &form("called them")).await;
    let back = desk.get(&closed.location.unwrap(), Some(&erin)).await.body;
    assert!(back.contains("Tasks 101 to 150 of 1\u{202f}599"), "{back}");
    assert!(back.contains("The task is closed"));
}
