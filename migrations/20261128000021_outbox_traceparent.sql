-- The trace that a text goes on with once it leaves, as W3C's `traceparent`: two numbers drawn at
-- random, and nothing of anybody. Null unless a trace is written.
alter table outbox add column traceparent text;
