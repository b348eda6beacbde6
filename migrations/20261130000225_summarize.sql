-- The sealer finds new records by their transaction, through a BRIN index. That knows nothing of pages
-- that nobody has summarized, and autovacuum comes once a minute: each look, once a second, read all
-- again that was written since. Now the sealer has pages summarized as soon as they are full.
--
-- The range of pages that is being filled is left: each record would have to change its summary. Whoever
-- holds a month, such as a vacuum, is not waited for. Older months are not looked at: nothing comes there.
create function audit_summarize() returns bigint
language plpgsql security definer set lock_timeout = '10ms' as $$
declare
    found bigint := 0;
    part record;
    place bigint;
begin
    for part in
        select x.indexrelid::regclass as index,
            pg_relation_size(x.indrelid) / current_setting('block_size')::bigint / 32 as full_ranges
        from pg_inherits i
        join pg_index x on x.indexrelid = i.inhrelid
        join pg_class c on c.oid = x.indrelid
        where i.inhparent = 'audit_record_xid'::regclass
            and c.relname >= 'audit_record_'
                || to_char((now() - interval '1 month') at time zone 'utc', 'YYYY_MM')
    loop
        -- They are summarized in their order, so it goes back to the last that is.
        place := part.full_ranges - 1;
        while place >= 0 and brin_summarize_range(part.index, place * 32) > 0 loop
            found := found + 1;
            place := place - 1;
        end loop;
    end loop;
    return found;
exception when lock_not_available then
    return found;
end
$$;

do $$
begin
    execute format('alter function audit_summarize() set search_path = %I, pg_temp', current_schema());
end
$$;
revoke execute on function audit_summarize from public;
grant execute on function audit_summarize to maskline_app;
select give_to_owner('audit_summarize()');
