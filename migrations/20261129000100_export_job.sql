-- Exports that staff asked for in the console. One person asks, another approves, a worker writes it, and
-- after some days the file is gone. What was looked for is sealed: it may hold words and ids that
-- are somebody's own. So is the key of the file, which lies in the storage in sealed pieces.
create table export_job (
    id uuid primary key,
    state text not null check (state in
        ('asked', 'refused', 'waiting', 'running', 'done', 'failed', 'expired')),
    scope_sealed bytea not null,
    format text not null check (format in ('csv', 'html', 'rsmf')),
    reason text not null check (reason <> ''),
    -- The case that it is for.
    matter text not null check (matter <> ''),
    -- How many records the checkpoint counts that it is of. It holds no others, whenever it is written.
    checkpoint_size bigint not null check (checkpoint_size > 0),
    asked_by uuid not null references staff,
    asked_at timestamptz not null,
    decided_by uuid references staff,
    decided_at timestamptz,
    -- Counts the beginnings; it fences a worker whose lease has ended.
    attempt integer not null default 0,
    -- How many of them came to nothing, and when the next may be made.
    failures integer not null default 0,
    due_at timestamptz,
    leased_until timestamptz,
    -- Why it came to nothing, in words for staff.
    problem text check (problem <> ''),
    -- How far it is.
    conversations bigint not null default 0,
    conversations_in_all bigint,
    records bigint not null default 0,
    -- Where the file lies, in how many pieces at most, and what opens them.
    storage_key text unique check (storage_key ~ '^[0-9a-f]{32}$'),
    key_sealed bytea,
    pieces integer not null default 0,
    bytes bigint,
    sha256 text check (sha256 ~ '^[0-9a-f]{64}$'),
    ended_at timestamptz,
    expires_at timestamptz,
    constraint export_job_takes_two check (decided_by <> asked_by),
    check (num_nonnulls(decided_by, decided_at) in (0, 2)),
    check ((decided_by is null) = (state = 'asked')),
    check ((leased_until is not null) = (state = 'running')),
    check ((key_sealed is not null) = (state in ('running', 'done'))),
    check (state <> 'done' or num_nonnulls(storage_key, bytes, sha256, expires_at) = 4),
    check (state <> 'failed' or problem is not null),
    check ((ended_at is not null) = (state in ('refused', 'done', 'failed', 'expired')))
);
create index export_job_asked on export_job (asked_at) where state = 'asked';
create index export_job_open on export_job (state) where state in ('waiting', 'running', 'done');
-- Files that nothing opens any more and that are still to be removed.
create index export_job_left on export_job (id)
    where storage_key is not null and state not in ('running', 'done');
create index export_job_asked_by on export_job (asked_by, asked_at);

select give_to_owner('export_job');
grant select, insert, update on export_job to maskline_app;
