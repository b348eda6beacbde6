-- The trail, sealed: what proves that no record was changed, taken away or slipped in.
--
-- A sealer follows behind the webhooks and gives each record a leaf in a Merkle tree. It may take a
-- record only when no transaction that is older can still commit one, so each record says which
-- transaction wrote it. Old records have none; they are the oldest. Adding the column before its
-- default rewrites nothing.
alter table audit_record add column xid xid8;
alter table audit_record alter column xid set default pg_current_xact_id();

-- Finds the newest records by their transaction. It costs an insert next to nothing; PostgreSQL 15
-- has no such index on xid8 itself.
create index audit_record_xid on audit_record
    using brin ((xid::text::bigint)) with (pages_per_range = 32, autosummarize = on);

-- The leaves in their order. They stay when the months of their records are taken away.
create table audit_leaf (
    index bigint primary key check (index >= 0),
    at timestamptz not null,
    id uuid not null,
    hash bytea not null check (octet_length(hash) = 32),
    -- No record is sealed twice.
    unique (at, id)
);

-- Signed statements of what the whole tree was at a size.
create table audit_checkpoint (
    size bigint primary key check (size > 0),
    root bytea not null check (octet_length(root) = 32),
    note text not null,
    at timestamptz not null default clock_timestamp()
);

select audit_guard('audit_leaf');
select audit_guard('audit_checkpoint');

-- How far the sealer is. Whoever seals locks the row. Nothing here is proof of anything: size and
-- frontier follow from the leaves.
create table audit_seal (
    only_one boolean primary key default true check (only_one),
    size bigint not null default 0 check (size >= 0),
    -- The roots of the full trees that make up the whole, the largest first.
    frontier bytea not null default '' check (octet_length(frontier) % 32 = 0),
    -- Every record of an older transaction is sealed.
    watermark bigint not null default 0,
    -- Whether those that say no transaction are.
    is_old_done boolean not null default false,
    -- Since when something sealed waits for a checkpoint.
    unsigned_since timestamptz
);
insert into audit_seal default values;

-- Up to which size a folder or an address was given the checkpoints, and by when whoever does it is
-- through. A target stands here as a hash: an address may hold a secret.
create table audit_published (
    target bytea primary key,
    size bigint not null,
    leased_until timestamptz
);

-- The tables of the trail that could be changed: no trigger refuses it, or it sleeps.
create function audit_unguarded() returns setof regclass language sql stable as $$
    select guarded.oid::regclass
    from (
        select 'audit_record'::regclass::oid as oid
        union all select 'audit_leaf'::regclass
        union all select 'audit_checkpoint'::regclass
        union all select inhrelid from pg_inherits where inhparent = 'audit_record'::regclass
    ) guarded
    where not exists (
        select from pg_trigger t
        where t.tgrelid = guarded.oid
            and t.tgname = 'append_only'
            and t.tgfoid = 'audit_refuse()'::regprocedure
            and t.tgenabled = 'A'
            -- Before each statement, at DELETE (8), UPDATE (16) and TRUNCATE (32).
            and t.tgtype = 2 + 8 + 16 + 32
            and t.tgqual is null
            and t.tgattr = ''
    )
    order by 1
$$;

-- Puts the guard back where it is missing, sleeps or is not what it was.
create function audit_guard_again() returns setof regclass language plpgsql
set lock_timeout = '1s' as $$
declare
    unguarded regclass;
begin
    for unguarded in select audit_unguarded() loop
        execute format('drop trigger if exists append_only on %s', unguarded);
        perform audit_guard(unguarded);
        return next unguarded;
    end loop;
end
$$;
