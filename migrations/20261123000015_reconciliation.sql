-- How far the carrier's list of messages has been read, and who reads it. One row for all processes.
create table reconciliation (
    only_one boolean primary key default true check (only_one),
    -- All that was sent before it is in the database. None before the first round.
    watermark timestamptz,
    -- When the last round ended, and until when somebody has the one that is under way.
    listed_at timestamptz,
    leased_until timestamptz
) with (fillfactor = 50);
insert into reconciliation default values;

-- When a text was sent, as the carrier's list says; none for what nobody had to ask about. What came
-- late is judged by it: a word about being texted, and whether a conversation stood already.
alter table carrier_message add column sent_at timestamptz;
