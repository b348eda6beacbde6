-- Each promise of a text locked the row of its masked number, to see that it stays. Many conversations
-- share a number, so that their texts met at that row: with eight connections it took PostgreSQL half as
-- long again to take in a text. Now a number can no longer be deleted: one that is of no more use is
-- retired.

-- Texts look at numbers and then write into the outbox, the worker does it the other way round. Whoever
-- waits for one of the tables while it has the other would be waited for, so nobody waits long, and what
-- is held is given back before the next try. Texts wait a tenth of a second meanwhile, no longer.
do $$
begin
    for try in 1..300 loop
        begin
            set local lock_timeout = '100ms';
            lock table masked_number in access exclusive mode;
            lock table outbox in access exclusive mode;
            return;
        exception when lock_not_available then
            perform pg_sleep(0.1 + random() * 0.1);
        end;
    end loop;
    raise exception 'somebody holds on to the tables outbox or masked_number for long: migrate again when they are done'
        using errcode = 'lock_not_available';
end
$$;

create function masked_number_stays() returns trigger language plpgsql as $$
begin
    raise exception 'a masked number stays for good, since texts and records name it: retire it';
end
$$;
revoke execute on function masked_number_stays from public;
select give_to_owner('masked_number_stays()');

create trigger stays before delete or truncate on masked_number
    for each statement execute function masked_number_stays();
create trigger keeps_its_id before update of id on masked_number
    for each row when (old.id is distinct from new.id) execute function masked_number_stays();

alter table outbox drop constraint outbox_masked_number_id_fkey;
