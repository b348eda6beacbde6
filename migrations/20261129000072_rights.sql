-- What the service may do: what its statements need, and no more. The trail it may read and add to. It
-- may change no table's form, and no function may do that for it but the two of the last migration.
--
-- Nothing is given by default: each migration that makes a table, a view or a function says who may
-- use it, and takes from everybody what PostgreSQL gives to everybody (the use of functions).
do $$
declare
    our_schema name := current_schema();
begin
    -- As old databases have it.
    execute format('revoke create on schema %I from public', our_schema);
    execute format('grant usage on schema %I to maskline_app, maskline_compliance', our_schema);
    if to_regclass('_sqlx_migrations') is not null then
        grant select on _sqlx_migrations to maskline_app;
    end if;
end
$$;

revoke execute on function
    audit_drop_month, audit_guard, audit_guard_again, audit_lock_month, audit_make_partitions,
    audit_refuse, audit_unguarded, give_to_owner, heed_suppressed_tag, last_met, last_met_by_tag,
    legal_hold_covers, take_in, take_in_by_tag
from public;
grant execute on function
    audit_guard_again, audit_make_partitions, audit_unguarded, last_met_by_tag, legal_hold_covers,
    take_in_by_tag
to maskline_app;

-- The trail, its seal and the ledger of consent grow. Months are reached through the whole; the part
-- for what has no month is counted by itself. Who removes months writes that down, and is the owner.
grant select, insert on audit_record, audit_leaf, audit_checkpoint, consent_event to maskline_app;
grant select on audit_record_default, audit_removal to maskline_app;
-- How far the work is.
grant select, update on audit_seal, reconciliation, send_limit to maskline_app;
grant select, insert, update on audit_published to maskline_app;

-- What stays, and changes: a person's row outlives them, as do seats and the carrier's ids.
grant select, insert, update on
    answer_given, carrier_message, conversation, legal_hold, masked_number, participant, person, task,
    vault_key
to maskline_app;
-- What comes and goes.
grant select, insert, update, delete on carrier_block, media, move_code, outbox to maskline_app;
grant select, insert, delete on code_failure, suppressed_tag, suppression to maskline_app;
-- What is only added to.
grant select, insert on block, send_failure to maskline_app;
