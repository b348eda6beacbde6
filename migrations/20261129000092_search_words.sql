-- Words that staff look for. An address stays in histories and logs, and words may be somebody's own, so
-- an address names this row instead. They are sealed under Maskline's own key and kept for a month.
create table search_words (
    id uuid primary key,
    words_sealed bytea not null,
    staff_id uuid not null references staff,
    at timestamptz not null
);
create index search_words_at on search_words (at);

select give_to_owner('search_words');
grant select, insert, delete on search_words to maskline_app;
