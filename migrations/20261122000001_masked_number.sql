-- The operator's Flowroute numbers that stand between two people. They belong to the operator,
-- so they are no secret.
create table masked_number (
    id uuid primary key,
    number text not null unique check (number ~ '^\+[1-9][0-9]{6,14}$'),
    added_at timestamptz not null
);
