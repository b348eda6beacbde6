-- A person can be forgotten: their key, tag and number are destroyed, and what they wrote stays where
-- it is, unreadable. When that was is told beside what cannot be read any more.
alter table person
    add column erased_at timestamptz,
    add constraint person_erased_is_gone check (erased_at is null or tag is null);

-- Pictures of somebody who was forgotten, to be removed from the storage by the next round.
alter table media add column is_erased boolean not null default false;
create index media_erased on media (id) where is_erased;

-- Opt-outs of people who were forgotten. The law wants them heeded for years, so the keyed tag of the
-- number is kept, and nothing else: no person, no time, nothing that leads to any record.
create table suppressed_tag (
    tag bytea primary key check (length(tag) = 16),
    -- Whether they said it themselves; else staff were told.
    is_own boolean not null
);

-- Whoever comes back after that is a new person, and silent until they say otherwise. A trigger,
-- because a person is written down in more than one place, and none may miss it.
create function heed_suppressed_tag() returns trigger language plpgsql as $$
declare
    own boolean;
begin
    delete from suppressed_tag where tag = new.tag returning is_own into own;
    if found then
        insert into suppression (person_id, rule, since)
        values (new.id, 'erased_before', new.first_seen_at);
        insert into consent_event (id, at, person_id, kind, rule, channel)
        values (gen_random_uuid(), new.first_seen_at, new.id, 'revoked', 'erased_before',
            case when own then 'text' else 'staff' end);
        insert into audit_record (id, at, kind, rule, person_id)
        values (gen_random_uuid(), new.first_seen_at, 'opted_out', 'erased_before', new.id);
    end if;
    return null;
end
$$;
create trigger heed_suppressed_tag after insert on person
    for each row execute function heed_suppressed_tag();

do $$
begin
    if exists (select from pg_roles where rolname = 'maskline_app') then
        grant select, insert, delete on suppressed_tag to maskline_app;
    end if;
end
$$;
