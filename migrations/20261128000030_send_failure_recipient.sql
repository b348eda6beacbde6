-- Whom a failed text was for: one dead phone must not put a masked number out of service.
alter table send_failure add column recipient_id uuid;
