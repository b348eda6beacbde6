//! `maskline staff`: who may use the console.

use std::path::Path;

use clap::Subcommand;
use fast_qr::QRBuilder;
use sqlx::{PgConnection, PgPool};

use super::{
    Done, Failure,
    by::By,
    list::{self, Format},
    moment,
};
use crate::{
    audit,
    console::staff::{self, Listed, Name, Opening, Role},
    ids::StaffId,
    vault::Pen,
};

/// Looks after the accounts of the console.
#[derive(Debug, Subcommand)]
pub enum Staff {
    /// Make an account, and print what opens it: a password for the first time, and a second factor.
    ///
    /// What is printed is kept nowhere. Give it to the person on a safe way; signing in needs both, and
    /// the first thing that they must do then is to choose a password of their own.
    #[command(after_help = "\
Example:  maskline staff add \"Dana Ek\" --role admin
          maskline staff add Erin --role auditor

operator  looks after numbers and tasks, reads no words
auditor   searches and reads the trail, people masked
approver  approves what others ask for: reveals, and the release of holds
admin     looks after these accounts, reads no words")]
    Add {
        /// What they sign in with, and how the trail names them. A name is given once and for ever.
        #[arg(value_name = "NAME", value_parser = Name::read)]
        name: Name,
        /// What they may do.
        #[arg(long, value_enum)]
        role: Role,
        /// Who makes the account.
        #[command(flatten)]
        by: By,
    },
    /// List the accounts.
    #[command(after_help = "Example:  maskline staff list --format json")]
    List {
        /// A table for people, JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Give somebody a new password and a new second factor, unlock them, and sign them out everywhere.
    #[command(after_help = "Example:  maskline staff reset Erin")]
    Reset {
        /// Their name.
        #[arg(value_name = "NAME")]
        name: String,
        /// Who does this.
        #[command(flatten)]
        by: By,
    },
    /// Let somebody in no more, and sign them out everywhere. The account stays, for the trail.
    #[command(after_help = "Example:  maskline staff disable Erin")]
    Disable {
        /// Their name.
        #[arg(value_name = "NAME")]
        name: String,
        /// Who does this.
        #[command(flatten)]
        by: By,
    },
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings or the database cannot be used, or there is no such account.
pub async fn run(config: Option<&Path>, command: Staff) -> Done {
    match command {
        Staff::Add { name, role, by } => {
            let (db, pen) = super::open_with_pen(config).await?;
            add(&db, &pen, &name, role, &by).await
        }
        Staff::Reset { name, by } => {
            let (db, pen) = super::open_with_pen(config).await?;
            reset(&db, &pen, &name, &by).await
        }
        Staff::List { format } => {
            let db = super::open(config).await?;
            let mut conn = db.acquire().await?;
            let now = super::now(&mut conn).await?;
            print(&staff::list(&mut conn, now).await?, format)
        }
        Staff::Disable { name, by } => disable(&super::open(config).await?, &name, &by).await,
    }
}

async fn add(db: &PgPool, pen: &Pen, name: &Name, role: Role, by: &By) -> Done {
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    let opening = staff::add(&mut tx, &pen.vault, name, role, now).await?;
    let opening = opening.ok_or_else(|| {
        format!("there is an account called {} already, and a name is given once", name.as_str())
    })?;
    let record = by.record("staff_add", &format!("account {} made, {role}", name.as_str()));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    say(&opening, pen, name.as_str());
    Ok(())
}

async fn reset(db: &PgPool, pen: &Pen, name: &str, by: &By) -> Done {
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    let (id, name) = known(&mut tx, name).await?;
    let opening = staff::reset(&mut tx, &pen.vault, id, now).await?;
    let opening = opening.ok_or("this account is disabled, which is for good")?;
    let record = by.record("staff_reset", &format!("account {name} given a new password and code"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    say(&opening, pen, &name);
    Ok(())
}

async fn disable(db: &PgPool, name: &str, by: &By) -> Done {
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    let (id, name) = known(&mut tx, name).await?;
    if !staff::disable(&mut tx, id, now).await? {
        return Err("this account is disabled already".into());
    }
    let record = by.record("staff_disable", &format!("account {name} disabled"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    println!("{name} is let in no more, and signed out everywhere");
    Ok(())
}

/// The account of this name, and how it is written.
async fn known(conn: &mut PgConnection, name: &str) -> Result<(StaffId, String), Failure> {
    let id = staff::find(conn, name.trim()).await?;
    let id = id.ok_or("there is no such account: see `maskline staff list`")?;
    let (name, _) = staff::named(conn, id).await?.ok_or("there is no such account")?;
    Ok((id, name))
}

/// Prints what opens an account.
fn say(opening: &Opening, pen: &Pen, name: &str) {
    let uri = opening.secret.uri(pen.brand.as_str(), name);
    println!("Account:   {name}");
    println!("Password:  {}   to sign in once, and choose another", opening.password);
    println!("Secret:    {}   for an authenticator app", opening.secret.to_text());
    println!("Or scan:   {uri}");
    if let Ok(drawn) = QRBuilder::new(uri).build() {
        println!("\n{}", drawn.to_str());
    }
    eprintln!("This is kept nowhere and shown once.");
}

fn print(accounts: &[Listed], format: Format) -> Done {
    let none = "There is no account. Make the first one:  maskline staff add NAME --role admin";
    list::print(accounts, format, none, |accounts| {
        println!("{:<30}  {:<8}  {:<12}  {:<20}  MADE", "NAME", "ROLE", "STATE", "LAST SEEN");
        for account in accounts {
            println!(
                "{:<30}  {:<8}  {:<12}  {:<20}  {}",
                account.name,
                account.role.as_str(),
                account.state(),
                account.last_seen_at.map_or_else(|| "-".into(), moment),
                moment(account.created_at),
            );
        }
    })
}
