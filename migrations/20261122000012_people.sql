-- Pairs that never meet again on our numbers, whoever of the two asked for it.
create table block (
    person_id uuid not null references person,
    other_id uuid not null references person,
    since timestamptz not null,
    primary key (person_id, other_id),
    check (person_id <> other_id)
);
create index block_other on block (other_id, person_id);

-- The code that takes a person's conversations to their new phone. One for each person.
create table move_code (
    person_id uuid primary key references person,
    code text not null unique check (code ~ '^[2-9ACDEFGHJKMNPQRTUVWXY]{8}$' and code ~ '[34679]'),
    expires_at timestamptz not null
);
