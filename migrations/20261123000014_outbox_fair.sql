-- Fair and quick to claim: only the texts that may leave next stand in the part of an index that is
-- read. Of one that stands behind another `due_at` is 'infinity' until that one has left.
alter table outbox
    -- When the first attempt was committed: since then it is being tried.
    add column first_tried_at timestamptz;
update outbox set unknown_since = now() where state = 'unknown' and unknown_since is null;

drop index outbox_next;
create index outbox_next on outbox (is_mms, urgent, due_at, seq) where state = 'queued' and not held;
-- What the worker mends: leases that ended, outcomes that stay unknown, texts that are tried for long.
create index outbox_leased on outbox (leased_until) where state = 'sending';
create index outbox_unknown on outbox (unknown_since) where state = 'unknown' and passed_at is null;
create index outbox_tried on outbox (first_tried_at)
    where state = 'queued' and passed_at is null and first_tried_at is not null;

-- When an accepted text had left, which tells whether it left before its recipient's UNSTOP.
alter table carrier_message add column tried_at timestamptz;

-- Staff are called for a text of which nobody knows whether it arrived.
alter table task drop constraint task_kind_check;
alter table task add constraint task_kind_check check (kind in
    ('soft_opt_out', 'report', 'carrier_block', 'guessing', 'quarantine', 'pool', 'unknown'));
