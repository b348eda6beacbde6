//! The roots of full trees of leaves, stored so that a proof needs to read the leaves around what it
//! proves only. They follow from the leaves. Whoever uses them compares them with a signed root first.

use sqlx::PgConnection;

use super::{
    copy,
    note::Checkpoint,
    tree::{Frontier, Hash},
};

/// How many levels such a tree has above its leaves, and how many leaves.
pub(super) const HEIGHT: u32 = 12;
pub(super) const LEAVES: u64 = 1 << HEIGHT;
/// How many are made at once.
const AT_ONCE: u64 = 8;

/// Stores the next of those that all leaves are there for, of a trail of this size; a few at once, so
/// that an old trail gets them in time.
pub(super) async fn grow(conn: &mut PgConnection, size: u64) -> sqlx::Result<()> {
    if size < LEAVES {
        return Ok(());
    }
    let stored =
        sqlx::query_scalar!(r#"select coalesce(max(index) + 1, 0) as "count!" from audit_subtree"#)
            .fetch_one(&mut *conn)
            .await?
            .cast_unsigned();
    for index in stored..(size / LEAVES).min(stored + AT_ONCE) {
        let mut tree = Frontier::default();
        add(conn, &mut tree, index * LEAVES, (index + 1) * LEAVES).await?;
        if tree.size() != LEAVES {
            // Leaves were taken away: verifying says so.
            return Ok(());
        }
        sqlx::query!(
            "insert into audit_subtree (index, root) values ($1, $2)",
            index.cast_signed(),
            &tree.root().0,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The roots from the first on that all together, with the leaves behind them, make the root of a
/// checkpoint; none where they do not, or where they are so few that they would spare nothing.
pub(super) async fn under(
    conn: &mut PgConnection,
    checkpoint: &Checkpoint,
) -> sqlx::Result<Vec<Hash>> {
    let whole = checkpoint.size / LEAVES;
    let stored = sqlx::query!(
        "select index, root from audit_subtree where index < $1 order by index",
        whole.cast_signed(),
    )
    .fetch_all(&mut *conn)
    .await?;
    let (mut roots, mut tree) = (Vec::new(), Frontier::default());
    for (place, row) in (0_i64..).zip(stored) {
        let root = Hash::read(&row.root).filter(|_| row.index == place);
        let Some(root) = root.filter(|root| tree.push_tree(HEIGHT, *root).is_some()) else { break };
        roots.push(root);
    }
    if (roots.len() as u64) * 2 < whole {
        return Ok(Vec::new());
    }
    let behind = tree.size();
    add(conn, &mut tree, behind, checkpoint.size).await?;
    if tree.root() == checkpoint.root {
        return Ok(roots);
    }
    tracing::error!("the stored roots of subtrees do not make the root that was signed");
    Ok(Vec::new())
}

/// Adds the leaves between these places to a tree.
async fn add(conn: &mut PgConnection, tree: &mut Frontier, from: u64, to: u64) -> sqlx::Result<()> {
    let query = format!(
        "select hash from audit_leaf where index >= {from} and index < {to} order by index"
    );
    copy::read(conn, &query, |row| {
        let hash = row.first().copied().flatten().and_then(Hash::read);
        tree.push(hash.ok_or_else(copy::malformed)?);
        Ok(())
    })
    .await?;
    Ok(())
}
