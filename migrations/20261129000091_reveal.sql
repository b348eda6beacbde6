-- Real numbers that staff were shown. One person asks, another approves, it lasts an hour at most.
create table reveal (
    id uuid primary key,
    -- Whose number: one person's, or those of one conversation.
    person_id uuid references person,
    conversation_id uuid references conversation,
    reason text not null check (reason <> ''),
    -- The case that it is for.
    matter text not null check (matter <> ''),
    minutes integer not null check (minutes between 1 and 60),
    asked_by uuid not null references staff,
    asked_at timestamptz not null,
    -- Nobody was there to approve, and it could not wait. Somebody reviews that afterwards.
    is_glass_broken boolean not null default false,
    decided_by uuid references staff,
    decided_at timestamptz,
    is_granted boolean,
    -- Until when the numbers are shown.
    open_until timestamptz,
    reviewed_by uuid references staff,
    reviewed_at timestamptz,
    review text check (review <> ''),
    check (num_nonnulls(person_id, conversation_id) = 1),
    check (num_nonnulls(decided_by, decided_at, is_granted) in (0, 3)),
    check (num_nonnulls(reviewed_by, reviewed_at, review) in (0, 3)),
    check (not is_glass_broken or decided_by is null),
    check (is_glass_broken or reviewed_by is null),
    check ((open_until is not null) = (is_glass_broken or coalesce(is_granted, false))),
    check (open_until <= coalesce(decided_at, asked_at) + interval '60 minutes'),
    constraint reveal_takes_two check (decided_by <> asked_by and reviewed_by <> asked_by)
);
create index reveal_undecided on reveal (asked_at) where decided_at is null and not is_glass_broken;
create index reveal_unreviewed on reveal (asked_at) where is_glass_broken and reviewed_at is null;
create index reveal_asked_by on reveal (asked_by, asked_at);

select give_to_owner('reveal');
grant select, insert, update on reveal to maskline_app;
