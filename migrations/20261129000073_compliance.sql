-- What compliance may look at without the program: views of what is clear. No sealed words, no keys, no
-- tags, no codes, no addresses of pictures; whether there are words, they may see. A view reads as its
-- owner, so no table need be opened.
create view compliance_record as
select id, at, kind, rule, conversation_id, person_id, recipient_id, author_id, masked_number,
    carrier_id, text_id, body_sealed is not null as has_words, media_sealed is not null as has_pictures,
    detail
from audit_record;

create view compliance_leaf as
select index, at, id, hash
from audit_leaf;

create view compliance_checkpoint as
select size, root, note, at
from audit_checkpoint;

create view compliance_removal as
select month, records, at, manifest
from audit_removal;

create view compliance_consent as
select id, seq, at, person_id, masked_number_id, kind, rule, channel, disclosure,
    -- The carrier's id of a text. What staff wrote is sealed, or waits for it.
    case when channel in ('text', 'carrier') then evidence end as carrier_id,
    evidence_sealed is not null as has_words
from consent_event;

create view compliance_person as
select p.id, p.first_seen_at, p.erased_at, s.rule as silenced_by, s.since as silent_since
from person p
left join suppression s on s.person_id = p.id;

create view compliance_carrier_block as
select person_id, masked_number_id, since
from carrier_block;

create view compliance_conversation as
select id, state, opened_at, last_talk_at, ends_at, ended_at, end_reason, reopens
from conversation;

create view compliance_participant as
select conversation_id, seat, person_id, masked_number_id, joined_at, left_at
from participant;

create view compliance_number as
select id, number, state, state_since, reason, added_at
from masked_number;

-- What the carrier has or had of a text, by its id.
create view compliance_message as
select carrier_id, direction, noted_at, sent_at, text_id, recipient_id, masked_number_id, delivery, status
from carrier_message;

create view compliance_hold as
select id, matter, person_id, conversation_id, masked_number, from_at, until_at, placed_by, placed_at,
    asked_by, asked_at, reason, released_by, released_at
from legal_hold;

create view compliance_task as
select id, kind, person_id, conversation_id, masked_number_id, carrier_id, transcript, detail, raised_at,
    due_at, closed_at, outcome
from task;

do $$
declare
    view text;
begin
    foreach view in array array[
        'record', 'leaf', 'checkpoint', 'removal', 'consent', 'person', 'carrier_block', 'conversation',
        'participant', 'number', 'message', 'hold', 'task'
    ] loop
        view := 'compliance_' || view;
        perform give_to_owner(view);
        execute format('grant select on %I to maskline_compliance', view);
    end loop;
end
$$;
