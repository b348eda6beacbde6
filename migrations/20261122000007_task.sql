-- What a member of staff must look at, and until when.
create table task (
    id uuid primary key,
    kind text not null check (kind in
        ('soft_opt_out', 'report', 'carrier_block', 'guessing', 'quarantine', 'pool')),
    person_id uuid references person,
    conversation_id uuid references conversation,
    masked_number_id uuid references masked_number,
    -- The text that raised it, and the records of the trail that it is about.
    carrier_id text,
    transcript uuid[] not null default '{}',
    detail text,
    raised_at timestamptz not null,
    due_at timestamptz not null,
    closed_at timestamptz,
    outcome text,
    check ((closed_at is null) = (outcome is null))
);

-- What is asked for already is not asked for twice.
create unique index task_open_once
    on task (kind, person_id, conversation_id, masked_number_id) nulls not distinct
    where closed_at is null;
create index task_due on task (due_at) where closed_at is null;
