-- Verifying the whole trail, asked for in the console. One at a time: it reads all there is.
create table verification (
    id uuid primary key,
    asked_by uuid not null references staff,
    asked_at timestamptz not null,
    -- How many leaves were seen, and of how many.
    seen bigint not null default 0 check (seen >= 0),
    total bigint not null default 0 check (total >= 0),
    -- By the database's clock: until when whoever verifies is thought to be alive.
    alive_until timestamptz not null,
    finished_at timestamptz,
    -- None where it was cut off.
    is_intact boolean,
    -- What is wrong, the first record in front. It names records and nobody.
    findings text[] not null default '{}',
    check (is_intact is null or finished_at is not null),
    check (is_intact is distinct from true or findings = '{}')
);
create unique index verification_one_at_a_time on verification ((true)) where finished_at is null;
create index verification_asked_at on verification (asked_at);

select give_to_owner('verification');
grant select, insert, update on verification to maskline_app;
