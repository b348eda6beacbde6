-- What one asks for and nobody decides can be granted for a while only. Until when is written down when it is
-- asked for, by the database's clock: neither a setting that changes nor a process whose clock is wrong moves
-- it. What waits already gets 7 days from now, and so does what a process of the version before asks for.
-- `lapsed_at` says when it was put on record that nobody had decided.
set local lock_timeout = '3s';

alter table reveal
    add column lapses_at timestamptz not null default now() + interval '7 days',
    add column lapsed_at timestamptz,
    add constraint reveal_in_time check (decided_at < lapses_at),
    add constraint reveal_lapsed
        check (lapsed_at is null or (decided_at is null and not is_glass_broken));
drop index reveal_undecided;
create index reveal_undecided on reveal (lapses_at)
    where decided_at is null and not is_glass_broken and lapsed_at is null;

alter table export_job
    add column lapses_at timestamptz not null default now() + interval '7 days',
    add column lapsed_at timestamptz,
    add constraint export_job_in_time check (decided_at < lapses_at),
    add constraint export_job_lapsed check (lapsed_at is null or state = 'asked');
drop index export_job_asked;
create index export_job_asked on export_job (lapses_at) where state = 'asked' and lapsed_at is null;

alter table subject_request
    add column lapses_at timestamptz not null default now() + interval '7 days',
    add column lapsed_at timestamptz,
    add constraint subject_request_in_time check (decided_at < lapses_at),
    add constraint subject_request_lapsed check (lapsed_at is null or decided_at is null);
create index subject_request_undecided on subject_request (lapses_at)
    where decided_at is null and lapsed_at is null;
-- What has lapsed may be asked for anew.
drop index subject_request_once;
create unique index subject_request_once on subject_request (person_id, kind)
    where decided_at is null and lapsed_at is null;
