-- What only the owner of the tables can do, and the service must have done all the same: making the
-- next months of the trail, and putting its guard back. Two functions do it as the owner.
--
-- They must not do it as a superuser. So what a superuser migrates belongs to maskline_owner, whom
-- nobody logs in as; whoever else migrates owns what they made. A member of maskline_owner may
-- migrate what belongs to it.

-- Gives to the owner of the trail what a migration has made: tables, views, and functions, which are
-- named with the types of their arguments. Each migration that makes one ends with it.
create function give_to_owner(variadic things text[]) returns void language plpgsql as $$
declare
    owner name;
    thing text;
begin
    select case when r.rolsuper then 'maskline_owner' else r.rolname end into owner
    from pg_class c
    join pg_roles r on r.oid = c.relowner
    where c.oid = 'audit_record'::regclass;
    foreach thing in array things loop
        if thing like '%(%)' then
            execute format('alter function %s owner to %I', thing::regprocedure, owner);
        else
            execute format('alter table %s owner to %I', thing::regclass, owner);
        end if;
    end loop;
end
$$;

-- Making a month locks the whole trail, and a name once taken stays: a stolen login of the service must
-- not fill the database with months. Who owns the trail may make any.
create or replace function audit_make_partitions(since timestamptz, months integer) returns void
language plpgsql set lock_timeout = '1s' as $$
declare
    month timestamp := date_trunc('month', since at time zone 'utc');
    name text;
begin
    if not pg_has_role(session_user,
            (select relowner from pg_class where oid = 'audit_record'::regclass), 'member')
        and (months > 12 or since < now() - interval '1 year' or since > now() + interval '1 year')
    then
        raise exception 'only the owner of the trail makes months that are a year away'
            using errcode = 'insufficient_privilege';
    end if;
    perform pg_advisory_xact_lock(hashtext('audit_make_partitions'));
    for i in 1..months loop
        name := 'audit_record_' || to_char(month, 'YYYY_MM');
        if to_regclass(name) is null and not exists (
            select from audit_record_default
            where at >= month at time zone 'utc'
              and at < (month + interval '1 month') at time zone 'utc'
        ) then
            execute format('create table %I partition of audit_record for values from (%L) to (%L)',
                name, month at time zone 'utc', (month + interval '1 month') at time zone 'utc');
            perform audit_guard(name::regclass);
        end if;
        month := month + interval '1 month';
    end loop;
end
$$;

do $$
declare
    our_schema name := current_schema();
    is_super boolean := (select rolsuper from pg_roles where rolname = current_user);
    work text;
begin
    -- Nothing that the caller has made is found before ours: PostgreSQL's own comes first, the
    -- caller's temporary tables last. (Named in the path, pg_catalog would be where tables are made.)
    foreach work in array array['audit_make_partitions(timestamptz, integer)', 'audit_guard_again()'] loop
        execute format('alter function %s security definer', work);
        execute format('alter function %s set search_path = %I, pg_temp', work, our_schema);
    end loop;
    if not is_super then
        return;
    end if;
    execute format('grant usage, create on schema %I to maskline_owner', our_schema);
    -- Values of statements stay out of PostgreSQL's log, for every login of this database. (The
    -- settings of a group are not those of its members; and the first, only a superuser may set.)
    execute format('alter database %I set log_parameter_max_length = 0', current_database());
    execute format('alter database %I set log_parameter_max_length_on_error = 0', current_database());
end
$$;

-- Webhooks wait behind whoever waits for a table: rather fail, to be run again at a quieter time.
set local lock_timeout = '3s';
select give_to_owner(part::text) from pg_partition_tree('audit_record') tree, text(tree.relid) part;
select give_to_owner(
    'answer_given', 'audit_checkpoint', 'audit_leaf', 'audit_published', 'audit_removal', 'audit_seal',
    'block', 'carrier_block', 'carrier_message', 'code_failure', 'consent_event', 'conversation',
    'legal_hold', 'masked_number', 'media', 'move_code', 'outbox', 'participant', 'person',
    'reconciliation', 'send_failure', 'send_limit', 'suppressed_tag', 'suppression', 'task', 'vault_key',
    'audit_drop_month(date)', 'audit_guard(regclass)', 'audit_guard_again()', 'audit_lock_month(date)',
    'audit_make_partitions(timestamptz, integer)', 'audit_refuse()', 'audit_unguarded()',
    'give_to_owner(text[])', 'heed_suppressed_tag()', 'last_met(text, text)',
    'last_met_by_tag(bytea, text)', 'legal_hold_covers(legal_hold, audit_record)'
);
select give_to_owner(oid::regprocedure::text)
from pg_proc
where proname in ('take_in', 'take_in_by_tag') and pronamespace = current_schema()::regnamespace;
-- Whose migrations they are; not there where somebody runs these files by hand.
select give_to_owner('_sqlx_migrations') where to_regclass('_sqlx_migrations') is not null;
