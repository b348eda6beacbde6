-- A text may be under way, or of unknown outcome, when its recipient takes the conversation to a new
-- phone. `recipient_id` is then the new phone, to which any further try goes; this is the old one,
-- which the attempt known last was for. Null where both are the same, as they nearly always are.
alter table outbox add column sent_to uuid references person;
