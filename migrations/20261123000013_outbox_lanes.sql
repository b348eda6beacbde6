-- What a text's outcome needs: since when it is tried and unknown, and whether it may be sent twice.
alter table outbox
    -- A lane is one person in one conversation; what belongs to none has one on its masked number.
    add column lane uuid not null
        generated always as (coalesce(conversation_id, masked_number_id)) stored,
    -- Answers to HELP and to an opt-out go first.
    add column urgent boolean not null default false,
    -- Never sent again once its outcome is unknown: confirmations of an opt-out, and codes.
    add column once boolean not null default false,
    -- When the last attempt was committed, before its request opened.
    add column tried_at timestamptz,
    add column unknown_since timestamptz,
    -- How often it was sent again although the carrier may have had it.
    add column resends smallint not null default 0,
    -- From then on its lane goes on without it.
    add column passed_at timestamptz,
    -- Counts against the limit for pictures, and not before they are ready.
    add column is_mms boolean not null default false,
    add column held boolean not null default false;

-- `seq` orders the texts of a lane, under a lock of their own: nothing looks it up alone.
alter table outbox drop constraint outbox_seq_key;
drop index outbox_lane;
create index outbox_lane on outbox (recipient_id, lane, seq);
drop index outbox_due;
create index outbox_next on outbox (urgent desc, due_at, seq) where state = 'queued' and not held;

-- A text that was sent again may have been accepted twice, under two ids.
alter table carrier_message drop constraint carrier_message_text_id_key;
create index carrier_message_text on carrier_message (text_id) where text_id is not null;
