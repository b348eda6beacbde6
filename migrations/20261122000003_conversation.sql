-- The link between two people, and the code that lets the second one in.
create table conversation (
    id uuid primary key,
    code text not null check (code ~ '^[2-9ACDEFGHJKMNPQRTUVWXY]{8}$' and code ~ '[34679]'),
    code_expires_at timestamptz not null,
    state text not null check (state in ('waiting', 'active', 'ended')),
    opened_at timestamptz not null,
    ended_at timestamptz,
    end_reason text,
    check ((state = 'ended') = (ended_at is not null)),
    check ((state = 'ended') = (end_reason is not null))
);

-- A code admits to one conversation. Once that has ended, the code may be drawn again.
create unique index conversation_open_code on conversation (code) where state <> 'ended';

-- A person in a conversation. Two seats, so that a third person has nowhere to sit.
create table participant (
    conversation_id uuid not null references conversation,
    seat smallint not null check (seat in (1, 2)),
    person_id uuid not null references person,
    masked_number_id uuid not null references masked_number,
    joined_at timestamptz not null,
    left_at timestamptz,
    primary key (conversation_id, seat),
    unique (conversation_id, person_id)
);

-- A person texts one masked number and must mean one conversation: two would cross.
create unique index participant_one_open_per_number
    on participant (person_id, masked_number_id) where left_at is null;
