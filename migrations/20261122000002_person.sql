-- The only table with a real number. Everything else refers to the person.
create table person (
    id uuid primary key,
    number text not null unique check (number ~ '^\+[1-9][0-9]{6,14}$'),
    first_seen_at timestamptz not null
);

-- Who may not be texted, and the word that said so. A row means silence on every masked number.
create table suppression (
    person_id uuid primary key references person,
    rule text not null,
    since timestamptz not null
);

-- When Maskline last gave a person an answer that it gives only so often.
create table answer_given (
    person_id uuid not null references person,
    answer text not null,
    last_at timestamptz not null,
    primary key (person_id, answer)
);
