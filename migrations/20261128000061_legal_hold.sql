-- Legal holds: what must not be erased or removed while a matter goes on. What is set narrows a hold
-- down; one that sets nothing holds everything.
create table legal_hold (
    id uuid primary key,
    matter text not null check (matter <> ''),
    person_id uuid references person,
    conversation_id uuid references conversation,
    masked_number text references masked_number (number),
    -- Records from this time on, and before that one.
    from_at timestamptz,
    until_at timestamptz,
    placed_by text not null,
    placed_at timestamptz not null,
    -- A release is asked for by one person and approved by another.
    asked_by text,
    asked_at timestamptz,
    reason text,
    released_by text,
    released_at timestamptz,
    check (from_at < until_at),
    check ((asked_by is null) = (asked_at is null) and (asked_by is null) = (reason is null)),
    check ((released_by is null) = (released_at is null)),
    check (released_by is null or asked_by is not null),
    constraint legal_hold_takes_two
        check (lower(btrim(released_by)) <> lower(btrim(asked_by)))
);
create index legal_hold_in_force on legal_hold (placed_at) where released_at is null;

-- Whether a hold covers a record.
create function legal_hold_covers(h legal_hold, r audit_record) returns boolean
language sql immutable as $$
    select h.released_at is null
        and (h.person_id is null or h.person_id in (r.person_id, r.recipient_id, r.author_id))
        and (h.conversation_id is null or h.conversation_id = r.conversation_id)
        and (h.masked_number is null or h.masked_number = r.masked_number)
        and (h.from_at is null or r.at >= h.from_at)
        and (h.until_at is null or r.at < h.until_at)
$$;

do $$
begin
    if exists (select from pg_roles where rolname = 'maskline_app') then
        grant select, insert, update on legal_hold to maskline_app;
        grant execute on function legal_hold_covers to maskline_app;
    end if;
end
$$;
