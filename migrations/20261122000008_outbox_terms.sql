-- Texts that no inbound text caused (a conversation that ends by itself), and texts that are of no
-- use after a while (the confirmation of an opt out).
alter table outbox
    alter column cause drop not null,
    add column give_up_at timestamptz;

-- Whom a sent text was for, so that its receipt can say something about the pair and the number.
alter table carrier_message
    add column recipient_id uuid,
    add column masked_number_id uuid;
create index carrier_message_number on carrier_message (masked_number_id, noted_at)
    where direction = 'outbound';

-- Texts that finally failed for a reason that may lie with the masked number.
create table send_failure (
    masked_number_id uuid not null references masked_number,
    at timestamptz not null,
    why text not null
);
create index send_failure_number on send_failure (masked_number_id, at);
