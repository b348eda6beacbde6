-- What the carrier's list may settle is read by an index, however much is parked: those that are unknown
-- stay in the outbox until staff decide.

-- Nobody waits long behind this for the table: the index is built in a moment, for the outbox holds only
-- what has not left, and whoever cannot have the table now tries again.
do $$
begin
    for try in 1..300 loop
        begin
            set local lock_timeout = '100ms';
            lock table outbox in share mode;
            return;
        exception when lock_not_available then
            perform pg_sleep(0.1 + random() * 0.1);
        end;
    end loop;
    raise exception 'somebody holds on to the table outbox for long: migrate again when they are done'
        using errcode = 'lock_not_available';
end
$$;

create index outbox_unsettled on outbox ((coalesce(tried_at, due_at))) where state = 'unknown';
