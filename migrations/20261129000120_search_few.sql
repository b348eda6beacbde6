-- Finding what is rare in the trail, and what went through one number, without reading all of it.
--
-- Of kinds and rules there are some dozens, and most records are of a few of them. So each 32 pages get
-- a filter that says which are certainly not there. What is added lies in pages that have none yet, so
-- adding costs next to nothing; autovacuum makes the filters of pages that are full.
--
-- A number may be in use, or may not have been for a year: only an index in the order of time finds
-- its newest records either way. It costs about a fiftieth of adding a record.
--
-- On a large trail this takes a while (some 20 seconds for ten million records), and nothing can be
-- added meanwhile. docs/operating.md, "Migrations that index the trail", says how to make the same
-- beforehand.
create index audit_record_few on audit_record
    using brin (kind text_bloom_ops, rule text_bloom_ops)
    with (pages_per_range = 32, autosummarize = on);
create index audit_record_number on audit_record (masked_number, at)
    where masked_number is not null;
create index audit_record_media on audit_record (at, id)
    where media_sealed is not null;
