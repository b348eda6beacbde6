//! Proofs of few records among many: the same bytes, from a few leaves.

use super::{Out, export, talk, verified};
use crate::{
    seal::{seal, sign, signing, write},
    support::TestApp,
};

/// A conversation, then many records of others, then somebody's HELP: leaves of three trees of 4096, of which
/// the last is not full. Returns whose HELP it was, and the size of the checkpoint.
async fn long(test: &TestApp) -> (String, String) {
    talk(test).await;
    write(test, 9_000).await;
    let zoe = test.phone("+14155550133");
    zoe.texts("HELP").await;
    test.deliver().await;
    seal(test).await;
    let size = sign(test).await.size.to_string();
    (test.person(&zoe.number).await.0.to_string(), size)
}

/// The files of an export of the checkpoint of this size.
fn made(test: &TestApp, size: &str, more: &[&str]) -> Vec<(String, Vec<u8>)> {
    let out = Out::new();
    export(test, &out, "csv", &[&["--checkpoint", size], more].concat()).done();
    verified(test, &out, &[]).done();
    out.files()
}

#[tokio::test]
async fn proofs_are_the_same_with_stored_roots_and_without() {
    let test = signing().await;
    let (zoe, size) = long(&test).await;
    let conversation: String = test.value("select id::text from conversation").await;
    assert_eq!(test.column("select index::text from audit_subtree order by 1").await, ["0", "1"]);
    let scopes: [&[&str]; 4] = [
        &["--person", &zoe],
        &["--conversation", &conversation],
        &["--rule", "help"],
        &["--kind", "extended"],
    ];
    let mut before = Vec::new();
    for scope in scopes {
        before.push(made(&test, &size, scope));
    }
    // A root that is wrong is not used, and neither is one without those before it.
    for change in [
        "update audit_subtree set root = decode(repeat('07', 32), 'hex') where index = 1",
        "delete from audit_subtree where index = 0",
        "delete from audit_subtree",
    ] {
        test.run(change).await;
        for (scope, before) in scopes.iter().zip(&before) {
            assert_eq!(&made(&test, &size, scope), before, "{change}, {scope:?}");
        }
    }
}

#[tokio::test]
async fn leaves_that_nothing_is_proven_of_are_not_read() {
    let test = signing().await;
    let (zoe, size) = long(&test).await;
    let before = made(&test, &size, &["--person", &zoe]);
    test.run(
        "alter table audit_leaf disable trigger append_only;
         update audit_leaf set hash = decode(repeat('07', 32), 'hex') where index in (50, 5000);
         alter table audit_leaf enable always trigger append_only",
    )
    .await;
    assert_eq!(made(&test, &size, &["--person", &zoe]), before);
    test.run("delete from audit_subtree").await;
    let out = Out::new();
    let said = export(&test, &out, "csv", &["--checkpoint", &size, "--person", &zoe]).failed();
    assert!(said.contains("are not what their checkpoint says"), "{said}");
}

#[tokio::test]
async fn a_trail_from_before_gets_its_roots_a_few_at_a_time() {
    let test = signing().await;
    write(&test, 9_000).await;
    seal(&test).await;
    let roots = "select root::text from audit_subtree order by index";
    let first = test.column(roots).await;
    assert_eq!(first.len(), 2);
    test.run("delete from audit_subtree").await;
    write(&test, 1).await;
    seal(&test).await;
    assert_eq!(test.column(roots).await, first);
}
