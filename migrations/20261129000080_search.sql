-- Finding a person in the trail: they wrote it, were sent it, or are whose words were sealed. The
-- first has an index already. Of the third the index holds only what the first does not.
--
-- On a large trail this takes a while (some 10 seconds for ten million records), and nothing can be
-- added meanwhile: webhooks get 503 and the carrier sends them again. To avoid that, make the same
-- indexes beforehand on each partition with `create index concurrently`; PostgreSQL then takes them
-- over at once.
create index audit_record_recipient on audit_record (recipient_id, at)
    where recipient_id is not null;
create index audit_record_author on audit_record (author_id, at)
    where author_id is distinct from person_id;

-- Whether a record is one of those that are looked for. One expression, so that PostgreSQL puts it in
-- place of the call and finds by the times which partitions and indexes it needs.
create function audit_record_fits(
    r audit_record,
    before_at timestamptz,  -- it stands before this place,
    before_id uuid,
    from_at timestamptz,    -- and not before this time
    number text,            -- its masked number
    kinds text[],           -- it is of one of these
    its_rule text,
    with_media boolean,     -- true: there are media
    with_words boolean      -- true: there are words
) returns boolean language sql immutable as $$
    select r.at <= before_at
        and (r.at, r.id) < (before_at, before_id)
        and r.at >= coalesce(from_at, '-infinity')
        and (number is null or r.masked_number = number)
        and (kinds is null or r.kind = any(kinds))
        and (its_rule is null or r.rule = its_rule)
        and (not with_media or r.media_sealed is not null)
        and (not with_words or r.body_sealed is not null)
$$;

do $$
begin
    if exists (select from pg_roles where rolname = 'maskline_app') then
        grant execute on function audit_record_fits to maskline_app;
    end if;
end
$$;
