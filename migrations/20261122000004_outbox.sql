-- Every message id that the carrier ever gave us, for ever: what makes a second delivery of the
-- same text harmless, and what leads a receipt to its text.
create table carrier_message (
    carrier_id text primary key check (carrier_id <> ''),
    direction text not null check (direction in ('inbound', 'outbound')),
    noted_at timestamptz not null,
    -- Outbound only: the text that got this id, how far it came, and the carrier's last word.
    text_id uuid unique,
    delivery text check (delivery in ('sent', 'delivered', 'failed')),
    status text,
    check ((direction = 'outbound') = (text_id is not null)),
    check ((direction = 'outbound') = (delivery is not null))
);

-- Texts committed but not yet accepted by the carrier. A row leaves as soon as the carrier has
-- accepted or refused it, so the table stays as small as the backlog.
create table outbox (
    id uuid primary key,
    seq bigint generated always as identity unique,
    kind text not null check (kind in ('relay', 'answer')),
    -- Goes out although its recipient opted out: the one confirmation, and the answer to HELP.
    despite_optout boolean not null default false,
    conversation_id uuid references conversation,
    recipient_id uuid not null references person,
    masked_number_id uuid not null references masked_number,
    cause text not null references carrier_message,
    body text not null check (body <> ''),
    state text not null default 'queued' check (state in ('queued', 'sending', 'unknown')),
    attempt integer not null default 0,
    queued_at timestamptz not null,
    due_at timestamptz not null,
    leased_until timestamptz,
    check ((state = 'sending') = (leased_until is not null)),
    check (kind <> 'relay' or conversation_id is not null),
    check (kind <> 'relay' or not despite_optout)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A lane is one person on one masked number: texts leave it in order, one at a time.
create index outbox_lane on outbox (recipient_id, masked_number_id, seq);
create index outbox_due on outbox (due_at) where state = 'queued';

-- When texts last left, one row for each of the carrier's limits, shared by all replicas.
create table send_limit (
    kind text primary key check (kind in ('sms', 'mms')),
    recent timestamptz[] not null default '{}'
);
insert into send_limit (kind) values ('sms'), ('mms');
