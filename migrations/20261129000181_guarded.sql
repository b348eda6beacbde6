-- The ledger of consent and the notes of what was removed are guarded by the same trigger as the trail.
-- That it is missing there must be seen, and put right, as well.
create or replace function audit_unguarded() returns setof regclass language sql stable as $$
    select guarded.oid::regclass
    from (
        select 'audit_record'::regclass::oid as oid
        union all select 'audit_leaf'::regclass
        union all select 'audit_checkpoint'::regclass
        union all select 'audit_removal'::regclass
        union all select 'consent_event'::regclass
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
