-- The ledger of consent: who allowed or forbade texts, when, and by what. It only grows. What is in
-- force is its fold; `suppression` and `carrier_block` keep that fold for quick reading and are
-- written by the same statement.
create table consent_event (
    id uuid primary key,
    seq bigint generated always as identity unique,
    at timestamptz not null,
    person_id uuid not null,
    -- Only for what the carrier blocks: a pair of one phone and one number.
    masked_number_id uuid,
    kind text not null
        check (kind in ('granted', 'revoked', 'flagged', 'carrier_blocked', 'carrier_lifted')),
    -- The rule, command or report that it came from.
    rule text not null,
    channel text not null check (channel in ('text', 'staff', 'carrier', 'import')),
    -- What proves it: the carrier's id of the text, or the words of whoever noted it.
    evidence text,
    -- Which wording of the terms the person had been shown.
    disclosure text,
    check ((masked_number_id is not null) = (kind in ('carrier_blocked', 'carrier_lifted')))
);
create index consent_event_person on consent_event (person_id, seq);
select audit_guard('consent_event');

-- Pairs that the carrier refuses to connect since the phone texted STOP to that number. Only the
-- person's own UNSTOP lifts it.
create table carrier_block (
    person_id uuid not null references person,
    masked_number_id uuid not null references masked_number,
    since timestamptz not null,
    -- Whether the conversation that stood on the pair has been ended.
    settled boolean not null default false,
    primary key (person_id, masked_number_id)
);
create index carrier_block_unsettled on carrier_block (since) where not settled;

-- Whoever is silenced already said so by a text: nothing else could be noted until now.
insert into consent_event (id, at, person_id, kind, rule, channel)
select gen_random_uuid(), since, person_id, 'revoked', rule, 'text'
from suppression;
