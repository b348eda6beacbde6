-- What was made beside the migrations on roles belongs to whoever owns the rest, and is nobody else's.
select give_to_owner('staff', 'staff_session', 'sign_in_failure');
revoke execute on function audit_record_fits from public;
select give_to_owner(oid::regprocedure::text)
from pg_proc
where proname = 'audit_record_fits' and pronamespace = current_schema()::regnamespace;
