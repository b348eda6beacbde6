//! Transcripts: both sides, day by day, and nothing that somebody texted is more than text.

use jiff::SignedDuration;

use super::{NASTY, Out, export, talk};
use crate::{
    program::maskline,
    seal::{seal, signing},
};

/// What is in the page, without its style.
fn page(out: &Out) -> String {
    let page = out.read("transcript-0001.html");
    let (head, rest) = page.split_once("<style>").unwrap();
    format!("{head}{}", rest.split_once("</style>").unwrap().1)
}

#[tokio::test]
async fn a_transcript_shows_both_sides_day_by_day_and_each_text_once() {
    let test = signing().await;
    let (ann, ben, conversation) = talk(&test).await;
    test.advance(SignedDuration::from_hours(24));
    ann.texts("and a bell?").await;
    test.deliver().await;
    seal(&test).await;
    let out = Out::new();
    export(&test, &out, "html", &["--conversation", &conversation]).done();
    let page = page(&out);
    let (first, second) = page.split_once("<h3>Monday, 2 March 2026, UTC</h3>").unwrap();
    assert!(first.contains("<h3>Sunday, 1 March 2026, UTC</h3>"), "{first}");
    assert_eq!(page.matches("<h3>").count(), 2);
    assert_eq!(first.matches("The bicycle, &quot;blue&quot;").count(), 1, "{first}");
    assert_eq!(second.matches("and a bell?").count(), 1, "{second}");
    let end = |id: String| format!("person {}", &id[28..]);
    let her = end(test.person(&ann.number).await.0.to_string());
    let his = end(test.person(&ben.number).await.0.to_string());
    for told in [
        format!("{her}: received (talk)"),
        format!("{her}: passed on to {his} through +14155550100"),
        format!("{his}: received (talk)"),
        "delivered".to_owned(),
        "octet-stream".to_owned(),
        format!("<h2>Conversation {conversation}</h2>"),
        "<dd>subpoena</dd>".to_owned(),
        "the checkpoint of ".to_owned(),
        "<li class=\"one\">".to_owned(),
        "<li class=\"two\">".to_owned(),
        "<li class=\"own\">".to_owned(),
    ] {
        assert!(page.contains(&told), "{told}: {page}");
    }
    for tag in ["section", "ol", "li", "p", "main", "body", "html"] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    for phone in [&ann, &ben] {
        assert!(!page.contains(&phone.number.digits()[1..]));
    }
}

#[tokio::test]
async fn what_was_texted_is_text_and_a_page_stands_alone() {
    let test = signing().await;
    let (ann, _, conversation) = talk(&test).await;
    ann.texts("<img src=x onerror=alert(1)> & 'quoted'").await;
    test.deliver().await;
    seal(&test).await;
    let out = Out::new();
    export(&test, &out, "html", &["--conversation", &conversation, "--keyword", "<script>"]).done();
    let page = page(&out);
    assert!(
        NASTY.contains("<script>") && !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    assert!(page.contains("&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt; &amp; &#39;quoted&#39;"), "{page}");
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline';"), "{page}");
    for never in [" src=\"", " href=", "@import", "url("] {
        assert!(!out.read("transcript-0001.html").contains(never), "{never}");
    }
}

#[tokio::test]
async fn a_transcript_says_what_is_not_there_any_more() {
    let test = signing().await;
    let (ann, _, conversation) = talk(&test).await;
    let her = test.person(&ann.number).await.0.to_string();
    maskline(&test, &["people", "erase", &her, "--reason", "asked", "--yes"]).done();
    test.deliver().await;
    seal(&test).await;
    let out = Out::new();
    export(&test, &out, "html", &["--conversation", &conversation]).done();
    let page = page(&out);
    assert!(page.contains("<p class=\"gone\">words erased on 20"), "{page}");
    assert!(!page.contains("bicycle") && page.contains("evil.example"), "{page}");

    let none = Out::new();
    export(&test, &none, "html", &["--kind", "extended"]).done();
    assert!(none.read("transcript-0001.html").contains("Nothing fits."));
    assert_eq!(none.manifest().conversations, 0);
}
