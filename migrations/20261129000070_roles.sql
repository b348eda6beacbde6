-- Who may do what: groups that nobody logs in as, of which logins are members (decision 0023). They belong
-- to the whole server and not to this database: they may be there already, and whoever migrates
-- another database may be making them at this very moment.
do $$
declare
    name text;
    missing text[] := '{}';
begin
    foreach name in array array['maskline_owner', 'maskline_app', 'maskline_compliance'] loop
        continue when exists (select from pg_roles where rolname = name);
        begin
            execute format('create role %I nologin', name);
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then missing := missing || format('create role %I nologin;', name);
        end;
    end loop;
    if missing <> '{}' then
        raise exception 'roles are missing, and % may not make them. Let a superuser run `%`, then migrate again',
            current_user, array_to_string(missing, ' ')
            using errcode = 'insufficient_privilege';
    end if;
end
$$;
