-- Codes that did not work, so that whoever guesses is slowed down by every replica alike.
create table code_failure (
    person_id uuid not null references person,
    at timestamptz not null
);
create index code_failure_person on code_failure (person_id, at);
create index code_failure_at on code_failure (at);
