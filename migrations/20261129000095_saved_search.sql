-- Searches that staff saved under a name, each their own. What is looked for is sealed: it may hold words
-- that are somebody's own.
create table saved_search (
    id uuid primary key,
    staff_id uuid not null references staff,
    name text not null check (name <> ''),
    scope_sealed bytea not null,
    at timestamptz not null
);
create unique index saved_search_name on saved_search (staff_id, lower(name));

select give_to_owner('saved_search');
grant select, insert, delete on saved_search to maskline_app;
