-- Months of the trail that were removed because they are old. Their leaves stay; the signed manifest
-- says which, so that verifying knows them from records that somebody took away.
create table audit_removal (
    -- The first day of the month, in UTC.
    month date primary key check (extract(day from month) = 1),
    records bigint not null check (records >= 0),
    at timestamptz not null,
    manifest text not null
);
select audit_guard('audit_removal');

-- Keeps everybody from adding to a month, while all may go on reading and adding elsewhere.
create function audit_lock_month(month date) returns void language plpgsql
set lock_timeout = '2s' as $$
begin
    execute format('lock table %I in share row exclusive mode',
        'audit_record_' || to_char(month, 'YYYY_MM'));
end
$$;

-- Takes a month away. Only who owns the trail can.
create function audit_drop_month(month date) returns void language plpgsql
set lock_timeout = '2s' as $$
declare
    name text := 'audit_record_' || to_char(month, 'YYYY_MM');
begin
    execute format('alter table audit_record detach partition %I', name);
    execute format('drop table %I', name);
end
$$;
do $$
begin
    if exists (select from pg_roles where rolname = 'maskline_app') then
        grant select on audit_removal to maskline_app;
    end if;
end
$$;
revoke execute on function audit_lock_month, audit_drop_month from public;
