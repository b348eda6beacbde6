-- How fast the pool fills is read from who joined and left within a week, not from all that were ever
-- seated. Nobody joins or leaves while these are built, about a second for a million seats; the
-- carrier delivers such a text again. Not concurrently: two that migrate at once would lock each
-- other out.
create index participant_joined on participant (joined_at);
create index participant_left on participant (left_at) where left_at is not null;
