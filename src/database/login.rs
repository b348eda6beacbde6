//! Who is logged in: whether the service may run as that login, and whether it can.

use sqlx::PgConnection;

/// What makes a login fit for the service.
const MAKE: &str = "create role maskline_serve login password '…' in role maskline_app;";

/// A login, and what it could do to the audit trail.
#[derive(Debug, Clone)]
pub struct Login {
    name: String,
    /// What it could do that the service must not, in words; the worst first.
    powers: Vec<&'static str>,
    /// Whether it may read the migrations and add to the trail.
    can_serve: bool,
}

/// Why the service does not run as a login.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// It could change the trail, or become somebody who can.
    #[error(
        "the login {name} {}. Whoever got hold of the service could then change the audit trail. Make a login that can only serve, and name it in DATABASE_URL:\n  {MAKE}\nIn development MASKLINE_ALLOW_SUPERUSER=true lets it run all the same.",
        .powers.join(", ")
    )]
    TooMighty {
        /// The login.
        name: String,
        /// What it could do.
        powers: Vec<&'static str>,
    },
    /// It may not do what the service does.
    #[error(
        "the login {name} may not add to the audit trail. As the owner of the tables, or as a superuser:\n  grant maskline_app to {name};"
    )]
    TooWeak {
        /// The login.
        name: String,
    },
}

impl Login {
    /// Whether it can do the service's work.
    ///
    /// # Errors
    /// That it cannot, and what would let it.
    pub fn can_serve(&self) -> Result<(), LoginError> {
        if self.can_serve { Ok(()) } else { Err(LoginError::TooWeak { name: self.name.clone() }) }
    }

    /// Whether it may: it could neither change the trail nor become anybody who can. Anyone may where
    /// that is allowed.
    ///
    /// # Errors
    /// What it could do, and what to do about it.
    pub fn may_serve(&self, allow_superuser: bool) -> Result<(), LoginError> {
        if allow_superuser || self.powers.is_empty() {
            return Ok(());
        }
        // A superuser could do all of it.
        let most = if self.powers[0] == SUPERUSER { 1 } else { self.powers.len() };
        Err(LoginError::TooMighty { name: self.name.clone(), powers: self.powers[..most].to_vec() })
    }

    /// The login's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

const SUPERUSER: &str = "is a superuser, or may become one";

/// Who is logged in. All roles count that they may become, whatever role was set for the session.
///
/// # Errors
/// When the database cannot be asked.
pub async fn login(conn: &mut PgConnection) -> sqlx::Result<Login> {
    let found = sqlx::query!(
        r#"with may_be as (
               select oid, rolname, rolsuper, rolcreaterole
               from pg_roles
               where pg_has_role(session_user, oid, 'member')
           ),
           trail as (
               select c.oid, c.relowner
               from pg_class c
               where c.oid = any(array(
                   select relid::oid from pg_partition_tree(to_regclass('audit_record'))
                   union all
                   select to_regclass(name)
                   from unnest(array['audit_leaf', 'audit_checkpoint', 'audit_removal',
                       'consent_event']) name
               ))
           )
           select session_user::text as "name!",
               exists (select from may_be where rolsuper) as "is_superuser!",
               exists (
                   select from trail t join may_be m on m.oid = t.relowner
               ) as "is_owner!",
               exists (
                   select from trail t, may_be m
                   where has_table_privilege(m.oid, t.oid, 'update, delete, truncate, trigger')
                       or has_any_column_privilege(m.oid, t.oid, 'update')
               ) as "changes!",
               exists (
                   select from pg_class c, may_be m
                   where c.oid = to_regclass('audit_record')
                       and has_schema_privilege(m.oid, c.relnamespace, 'create')
               ) as "creates!",
               exists (select from may_be where rolcreaterole) as "makes_roles!",
               exists (
                   select from may_be
                   where rolname in ('pg_execute_server_program', 'pg_write_server_files')
               ) as "runs_programs!",
               coalesce(
                   has_table_privilege(current_user, to_regclass('audit_record'), 'select')
                       and has_table_privilege(current_user, to_regclass('audit_record'), 'insert'),
                   true
               ) and coalesce(
                   has_table_privilege(current_user, to_regclass('_sqlx_migrations'), 'select'),
                   true
               ) as "can_serve!""#
    )
    .fetch_one(conn)
    .await?;
    let powers = [
        (found.is_superuser, SUPERUSER),
        (found.is_owner, "owns the audit trail, or may become its owner"),
        (found.changes, "may change what stands in the audit trail"),
        (found.creates, "may make tables and functions beside it"),
        (found.makes_roles, "may make roles, and so become nearly any"),
        (found.runs_programs, "may run programs or write files on the server"),
    ];
    let powers = powers.into_iter().filter_map(|(has, words)| has.then_some(words)).collect();
    Ok(Login { name: found.name, powers, can_serve: found.can_serve })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(powers: &[&'static str], can_serve: bool) -> Login {
        Login { name: "somebody".to_owned(), powers: powers.to_vec(), can_serve }
    }

    #[test]
    fn what_is_said_names_the_login_and_what_to_run() {
        let owner = login(&["owns it", "makes roles"], true);
        let said = owner.may_serve(false).unwrap_err().to_string();
        assert!(said.starts_with("the login somebody owns it, makes roles. "), "{said}");
        assert!(said.contains(MAKE) && said.contains("MASKLINE_ALLOW_SUPERUSER=true"), "{said}");
        assert_eq!(owner.may_serve(true), Ok(()));
        let said = login(&[SUPERUSER, "owns it"], true).may_serve(false).unwrap_err().to_string();
        assert!(!said.contains("owns it"), "{said}");
        let said = login(&[], false).can_serve().unwrap_err().to_string();
        assert!(said.ends_with("grant maskline_app to somebody;"), "{said}");
        assert_eq!(login(&[], true).may_serve(false), Ok(()));
    }
}
