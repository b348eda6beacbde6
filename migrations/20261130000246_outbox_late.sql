-- Texts that wait for their pictures for long are found by an index, however many wait that were passed.

-- Nobody waits long behind this for the table: see 20261130000245.
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

create index outbox_late on outbox (queued_at) where held and passed_at is null;
