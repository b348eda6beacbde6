-- What people ask for who are spoken of in here: a copy of all there is of them, or to be forgotten. One
-- account asks on their behalf, another grants it.
create table subject_request (
    id uuid primary key,
    person_id uuid not null references person,
    kind text not null check (kind in ('export', 'erasure')),
    reason text not null check (reason <> ''),
    -- The case that it is for.
    matter text not null check (matter <> ''),
    asked_by uuid not null references staff,
    asked_at timestamptz not null,
    decided_by uuid references staff,
    decided_at timestamptz,
    is_granted boolean,
    -- Until when an export can be saved.
    open_until timestamptz,
    check (num_nonnulls(decided_by, decided_at, is_granted) in (0, 3)),
    check ((open_until is not null) = (kind = 'export' and coalesce(is_granted, false))),
    constraint subject_request_takes_two check (decided_by <> asked_by)
);
create unique index subject_request_once on subject_request (person_id, kind) where decided_at is null;
create index subject_request_person on subject_request (person_id, asked_at);
create index subject_request_asked_at on subject_request (asked_at);

select give_to_owner('subject_request');
grant select, insert, update on subject_request to maskline_app;
