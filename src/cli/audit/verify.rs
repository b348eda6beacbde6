//! `maskline audit verify`: whether the trail, or an export of it, is what it was.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{cannot, telling};
use crate::{
    audit::{
        export,
        extract::{self, Verified},
        kept,
        note::{Signer, Verifier},
        publish::Target,
        verify::{Judge, Kept, Report},
        walk,
    },
    cli::{Done, Failure, moment, open_at, said::Said},
    config,
};

/// What the names of kept checkpoints begin with in a folder.
const KEPT: &str = "checkpoint-";

/// What to verify.
#[derive(Debug, Args)]
pub struct Verify {
    /// The public key that checkpoints must be signed with; may be repeated, for one that was
    /// replaced. Without it that of `MASKLINE_AUDIT_KEY`.
    #[arg(long = "key", value_name = "VERIFIER")]
    keys: Vec<Verifier>,
    /// Checkpoints that were kept: a file, or a folder of files named checkpoint-…; may be repeated. Without
    /// it, and without --export, those in the folders of `MASKLINE_AUDIT_CHECKPOINTS`.
    #[arg(long, value_name = "FOLDER|FILE")]
    checkpoints: Vec<PathBuf>,
    /// An export to verify instead of the database: a file of lines, or a folder.
    #[arg(long, value_name = "FILE|FOLDER")]
    export: Option<PathBuf>,
}

pub(super) async fn run(config: Option<&Path>, what: Verify) -> Done {
    let kept =
        what.checkpoints.iter().map(|path| read_kept(path)).collect::<Result<Vec<_>, _>>()?;
    let mut kept: Vec<Kept> = kept.into_iter().flatten().collect();
    let keys = |signer: Option<&Signer>| match signer {
        Some(signer) if what.keys.is_empty() => vec![signer.verifier()],
        _ => what.keys.clone(),
    };
    let (report, has_key) = if let Some(file) = &what.export {
        let keys = keys(config::audit(config)?.signer.as_deref());
        let has_key = !keys.is_empty();
        if file.is_dir() {
            return say_of_folder(&extract::verify(file, &keys, &kept)?, kept.len(), has_key);
        }
        let from = File::open(file).map_err(|error| cannot("read", file, &error))?;
        let mut said = Said::new();
        let progress = |seen: u64| said.at_times(|| format!("{seen} records"));
        (export::verify(BufReader::new(from), Judge::new(keys, kept), progress)?, has_key)
    } else {
        let (url, audit) = config::database_url_and_audit(config)?;
        let keys = keys(audit.signer.as_deref());
        let has_key = !keys.is_empty();
        let db = open_at(&url).await?;
        let mut conn = db.acquire().await?;
        if what.checkpoints.is_empty() {
            kept = read_configured(&audit.targets, &keys).await;
        }
        (walk::verify(&mut conn, Judge::new(keys, kept), telling()).await?, has_key)
    };
    say(&report, has_key)
}

fn say(report: &Report, has_key: bool) -> Done {
    for finding in &report.findings {
        println!("WRONG  {finding}");
    }
    if report.more > 0 {
        println!("WRONG  and {} more", report.more);
    }
    if !report.is_intact() {
        return Err("the trail is not intact; the first finding names where to begin".into());
    }
    println!("{}", headline(report));
    for gone in &report.removed {
        println!(
            "{} records of {} removed by retention on {}",
            gone.records,
            gone.month,
            moment(gone.removed_at)
        );
    }
    if report.covered < report.records {
        println!("{} of them are under no checkpoint yet", report.records - report.covered);
    }
    if report.unsealed > 0 {
        println!("{} records are newer and not sealed yet", report.unsealed);
    }
    if report.kept == 0 {
        println!(
            "no kept checkpoint was there to compare with: whoever can change the whole database could have sealed it anew"
        );
    }
    if !has_key {
        println!("no --key was given: signatures were not checked");
    }
    if let Some(root) = report.root {
        println!("root {root}");
    }
    if has_key && report.records > 0 && report.covered == 0 {
        return Err("no checkpoint covers any of the records, so the key proves nothing: give those that were kept, or wait until one is signed".into());
    }
    Ok(())
}

/// What is said first. Only what a checkpoint covers is called intact.
fn headline(report: &Report) -> String {
    let Report { records, checkpoints, kept, covered, .. } = report;
    let all =
        format!("{records} records, {checkpoints} checkpoints in the trail, {kept} kept outside");
    match covered {
        covered if covered == records => format!("intact: {all}"),
        0 => format!("nothing wrong was found, and nothing is proven: {all}"),
        _ => format!("intact as far as checkpoints cover it, the first {covered} records: {all}"),
    }
}

fn say_of_folder(found: &Verified, kept: usize, has_key: bool) -> Done {
    for wrong in &found.wrong {
        println!("WRONG  {wrong}");
    }
    if !found.wrong.is_empty() {
        return Err(
            "the export is not what was handed out; the first line says where to begin".into()
        );
    }
    let manifest = &found.manifest;
    println!(
        "intact: {} in {} files, for {} ({})",
        manifest.counted(),
        manifest.files.len(),
        manifest.requester,
        manifest.reason,
    );
    if found.compared == 0 {
        println!(
            "its checkpoint was compared with none of the {kept} kept ones: none counts as many records"
        );
    }
    if !has_key {
        println!("no --key was given: signatures were not checked");
    }
    Ok(())
}

/// The checkpoints that are kept in the folders of the settings.
pub(super) async fn read_configured(targets: &[Target], keys: &[Verifier]) -> Vec<Kept> {
    let origins: Vec<&str> = keys.iter().map(Verifier::name).collect();
    let found = kept::read(targets, &origins).await;
    for (folder, error) in found.unread {
        eprintln!("what is kept in {} cannot be read: {error}", folder.display());
    }
    found.kept
}

/// The checkpoints in a file, or in a folder's files.
fn read_kept(path: &Path) -> Result<Vec<Kept>, Failure> {
    let read = |path: &Path| -> Result<Kept, Failure> {
        let note = fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
        Ok(Kept { note, name: format!("the kept checkpoint {}", path.display()) })
    };
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| cannot("read", path, &error))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(KEPT.as_bytes()))
        {
            found.push(read(&path)?);
        }
    }
    if found.is_empty() {
        return Err(format!("there is no file {KEPT}… in {}", path.display()).into());
    }
    Ok(found)
}
