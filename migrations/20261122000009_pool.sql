-- What a masked number is used for. Whatever the state, conversations that stand on a number go on;
-- only a number in service gets new ones.
alter table masked_number
    add column state text not null default 'in_service'
        check (state in ('in_service', 'reserved', 'retiring', 'quarantined')),
    add column state_since timestamptz not null default now(),
    add column reason text check (reason <> '');

-- How many people a number carries, and where a person has been.
create index participant_open_number on participant (masked_number_id) where left_at is null;
create index participant_history on participant (person_id, masked_number_id, joined_at);
