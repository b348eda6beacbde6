-- The accounts belong to whoever owns the rest.
select give_to_owner('staff', 'staff_session', 'sign_in_failure');
