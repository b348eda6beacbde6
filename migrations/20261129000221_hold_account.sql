-- With whose account the release of a hold was asked for and approved, where that was done in the console. A
-- name is what somebody on the command line says it is; an account is one person's. Where both are known it
-- is the accounts that must differ.
set local lock_timeout = '3s';
alter table legal_hold
    add column asked_account uuid references staff,
    add column released_account uuid references staff,
    add constraint legal_hold_asked check (asked_account is null or asked_by is not null),
    add constraint legal_hold_released check (released_account is null or released_by is not null),
    add constraint legal_hold_takes_two_accounts check (released_account <> asked_account);
