-- How much an export would hold that waits for an approver, as far as somebody counts: whoever decides must know
-- whether it is one conversation or all there is. Nothing where it cannot be told.
set local lock_timeout = '3s';
alter table export_job
    add column counted_at timestamptz,
    add column counted_conversations bigint check (counted_conversations >= 0),
    add column counted_records bigint check (counted_records >= 0),
    add constraint export_job_counted check (
        num_nonnulls(counted_conversations, counted_records) in (0, 2)
        and (counted_records is null or counted_at is not null)
    );
create index export_job_uncounted on export_job (asked_at)
    where state = 'asked' and lapsed_at is null and counted_at is null;
