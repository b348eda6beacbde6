-- The audit trail: one record for every text received, relayed, answered, refused or failed, and
-- for every turn of a conversation. It copies what it needs and refers to nothing, so that it
-- outlives what it speaks of. Partitioned by month, so that old months can be taken away whole.
create table audit_record (
    id uuid not null,
    at timestamptz not null,
    kind text not null,
    rule text,
    conversation_id uuid,
    person_id uuid,
    recipient_id uuid,
    masked_number text,
    carrier_id text,
    text_id uuid,
    body text,
    media jsonb,
    detail text,
    primary key (at, id)
) partition by range (at);

create index audit_record_conversation on audit_record (conversation_id, at);
create index audit_record_person on audit_record (person_id, at);
create index audit_record_carrier_id on audit_record (carrier_id);
create index audit_record_text_id on audit_record (text_id);

create function audit_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'the audit trail is append-only: % refused', tg_op
        using errcode = 'insufficient_privilege';
end
$$;

-- Statement triggers fire even where no row matches. Those of the parent do not fire for a
-- statement that names a partition (TRUNCATE above all), so each partition gets its own; ALWAYS
-- keeps them awake under session_replication_role = replica.
create function audit_guard(guarded regclass) returns void language plpgsql as $$
begin
    execute format('create trigger append_only before update or delete or truncate on %s
                    for each statement execute function audit_refuse()', guarded);
    execute format('alter table %s enable always trigger append_only', guarded);
end
$$;

-- Makes the monthly partitions (in UTC) from the month of `since` on. Existing months stay as
-- they are, and so does a month whose records already lie in the default partition. Making one
-- locks the whole trail, so it gives up soon while somebody reads: a webhook must not wait for it.
create function audit_make_partitions(since timestamptz, months integer) returns void
language plpgsql set lock_timeout = '1s' as $$
declare
    month timestamp := date_trunc('month', since at time zone 'utc');
    name text;
begin
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

select audit_guard('audit_record');

-- A record must never fail for want of a partition, even when a clock has jumped by years.
create table audit_record_default partition of audit_record default;
select audit_guard('audit_record_default');

select audit_make_partitions(now(), 3);
