-- Numbers, words and pictures' addresses are kept encrypted. Each person has a key of their own,
-- wrapped by the master key, which never stands in the database; Maskline's own words have one too.
-- Whoever destroys a person's key makes all that they wrote unreadable, copies of the database
-- included, while every record stays in its place.

-- Keys that belong to no person: `lookup` makes the tags, `own` seals Maskline's own words.
create table vault_key (
    name text primary key check (name in ('lookup', 'own')),
    wrapped bytea not null
);

-- A person is found by a keyed tag of their number. All three are gone once a person is forgotten.
alter table person
    add column tag bytea unique check (length(tag) = 16),
    add column number_sealed bytea,
    add column wrapped_key bytea,
    alter column number drop not null,
    add constraint person_is_sealed check (number is null) not valid,
    add constraint person_is_whole
        check ((tag is null) = (number_sealed is null) and (tag is null) = (wrapped_key is null));

-- Whose words they are, and so whose key opens them; null: Maskline's own.
alter table outbox
    add column body_sealed bytea,
    add column author_id uuid references person,
    alter column body drop not null,
    drop constraint outbox_body_check,
    -- Rows of an earlier version hold an empty text where there are no words.
    add constraint outbox_has_something check (body_sealed is not null or body is not null or is_mms),
    add constraint outbox_is_sealed check (body is null) not valid;

alter table audit_record
    add column author_id uuid,
    add column body_sealed bytea,
    add column media_sealed bytea,
    add constraint audit_record_is_sealed check (body is null and media is null) not valid;

-- The words of staff as evidence are sealed under the key of the person they are about. What a text
-- or the carrier brought is the id of that text, which stays clear: it is looked up.
alter table consent_event
    add column evidence_sealed bytea,
    add constraint consent_event_is_sealed
        check (evidence is null or channel in ('text', 'carrier')) not valid;

-- The files that are named here are sealed, unless an earlier version wrote them.
alter table media
    add column source_url_sealed bytea,
    add column is_sealed boolean not null default false,
    drop constraint media_check,
    add constraint media_pending_has_source
        check ((state = 'pending') = (source_url is not null or source_url_sealed is not null)),
    add constraint media_is_sealed check (source_url is null) not valid;

-- Where nothing is there that an earlier version wrote, that is noted at once; else `keys seal` does
-- it, and nothing starts before.
do $$
begin
    if not exists (select from person where number is not null)
        and not exists (select from outbox where body is not null)
        and not exists (select from audit_record where body is not null or media is not null)
        and not exists (
            select from consent_event
            where evidence is not null and channel not in ('text', 'carrier')
        )
        and not exists (select from media where source_url is not null)
    then
        alter table person validate constraint person_is_sealed;
        alter table outbox validate constraint outbox_is_sealed;
        alter table audit_record validate constraint audit_record_is_sealed;
        alter table consent_event validate constraint consent_event_is_sealed;
        alter table media validate constraint media_is_sealed;
    end if;
end
$$;

-- The conversation in which a person last met somebody on a masked number, and whom: as last_met,
-- by the person's tag.
create function last_met_by_tag(
    whose bytea,
    on_number text,
    out conversation_id uuid,
    out person_id uuid
) returns setof record language sql stable as $$
    select p.conversation_id, other.person_id
    from person me
    join participant p on p.person_id = me.id
    join masked_number m on m.id = p.masked_number_id
    join participant other on other.conversation_id = p.conversation_id and other.seat <> p.seat
    where me.tag = whose and m.number = on_number and p.left_at is not null
    order by p.joined_at desc, p.conversation_id desc
    limit 1
$$;

-- As take_in, by tags. Takes in texts that share a transaction: notes the carrier's ids, locks who sent them and the
-- conversations that they may concern, and loads what their decisions need. One call, so that it
-- costs one round trip; a function, so that each of its statements sees what was committed while an
-- earlier one waited for its lock.
--
-- All arrays have one element for each text. Locks are taken in the order of ids, people before
-- conversations: two calls never wait for each other.
create function take_in_by_tag(
    carrier_ids text[],
    senders text[],             -- null where the sender cannot be read; only compared with our numbers
    tags bytea[],               -- by which the senders are known
    receivers text[],           -- the numbers that were texted
    codes text[],               -- the code of JOIN
    move_codes text[],          -- the code of MOVE
    looks_back boolean[],       -- concerns the last conversation on that number as well
    with_other boolean[],       -- and locks whom it was with: their opt-out must not cross
    fresh_ids uuid[],           -- for senders whom nobody knows yet, with these keys and numbers
    fresh_keys bytea[],
    fresh_numbers bytea[],
    instead timestamptz         -- a time that stands in for the database's
) returns table (
    place integer,              -- of the text, from 0; texts that were taken in before are left out
    taken_at timestamptz,
    masked_number_id uuid,      -- null where the number is not ours
    is_from_ours boolean,
    person_id uuid,
    wrapped_key bytea,
    suppressed boolean,
    blocked_here boolean,
    answers text[],
    answered_at timestamptz[],
    conversation_id uuid,       -- the rest: one row for each participant of each open conversation
    code text,
    state text,
    code_expires_at timestamptz,
    opened_at timestamptz,
    last_talk_at timestamptz,
    silence_seconds integer,
    warned_at timestamptz,
    ends_at timestamptz,
    participant_id uuid,
    participant_number_id uuid,
    participant_number text
) language plpgsql as $$
#variable_conflict use_column
declare
    now_ timestamptz := coalesce(instead, clock_timestamp());
    new_ids text[];
    people uuid[];
    locked uuid[];
begin
    with kept as (
        insert into carrier_message (carrier_id, direction, noted_at)
        select id, 'inbound', now_
        from unnest(carrier_ids) as given (id)
        order by id
        on conflict (carrier_id) do nothing
        returning carrier_id
    )
    select array_agg(carrier_id) into new_ids from kept;
    if new_ids is null then
        return;
    end if;

    insert into person (id, tag, wrapped_key, number_sealed, first_seen_at)
    select given.fresh_id, given.tag, given.fresh_key, given.fresh_number, now_
    from unnest(carrier_ids, senders, tags, receivers, fresh_ids, fresh_keys, fresh_numbers)
        as given (carrier_id, sender, tag, receiver, fresh_id, fresh_key, fresh_number)
    where given.carrier_id = any(new_ids)
        and given.sender is not null
        and exists (select from masked_number m where m.number = given.receiver)
        and not exists (select from masked_number m where m.number = given.sender)
        and not exists (select from person p where p.tag = given.tag)
    order by given.tag
    on conflict (tag) do nothing;

    people := array(
        select p.id
        from person p
        where p.tag = any(tags)
    );
    if true = any(with_other) then
        people := people || array(
            select last.person_id
            from unnest(tags, receivers, with_other) as given (tag, receiver, with_other)
            cross join lateral last_met_by_tag(given.tag, given.receiver) last
            where given.with_other
        );
    end if;
    perform from person p where p.id = any(people) order by p.id for no key update;

    if true = any(looks_back) then
        perform
        from conversation c
        where c.state = 'ended' and c.id = any(array(
            select last.conversation_id
            from unnest(tags, receivers, looks_back) as given (tag, receiver, looks_back)
            cross join lateral last_met_by_tag(given.tag, given.receiver) last
            where given.looks_back
        ))
        order by c.id
        for no key update;
    end if;

    locked := array(
        select c.id
        from conversation c
        where c.id = any(array(
            select p.conversation_id
            from person me
            join participant p on p.person_id = me.id and p.left_at is null
            where me.tag = any(tags)
            union all
            select named.id
            from conversation named
            where named.code = any(codes) and named.state = 'waiting'
            union all
            select p.conversation_id
            from move_code m
            join participant p on p.person_id = m.person_id and p.left_at is null
            where m.code = any(move_codes)
        ))
        order by c.id
        for no key update
    );

    return query
    select given.place::integer - 1, now_, here.id, ours.id is not null, me.id,
        me.wrapped_key,
        exists (select from suppression s where s.person_id = me.id),
        exists (
            select from carrier_block b
            where b.person_id = me.id and b.masked_number_id = here.id
        ),
        array(select a.answer from answer_given a where a.person_id = me.id order by a.answer),
        array(select a.last_at from answer_given a where a.person_id = me.id order by a.answer),
        c.id, c.code, c.state, c.code_expires_at, c.opened_at, c.last_talk_at, c.silence_seconds,
        c.warned_at, c.ends_at, seat.person_id, seat.masked_number_id, through.number
    from unnest(carrier_ids, senders, tags, receivers, codes, move_codes) with ordinality
        as given (carrier_id, sender, tag, receiver, code, move_code, place)
    left join masked_number here on here.number = given.receiver
    left join masked_number ours on ours.number = given.sender
    left join person me on me.tag = given.tag and here.id is not null and ours.id is null
    left join lateral (
        select p.conversation_id as id
        from participant p
        where p.person_id = me.id and p.left_at is null
        union
        select named.id
        from conversation named
        where named.code = given.code and named.state = 'waiting'
        union
        select p.conversation_id
        from move_code m
        join participant p on p.person_id = m.person_id and p.left_at is null
        where m.code = given.move_code
    ) concerned on me.id is not null and concerned.id = any(locked)
    left join conversation c on c.id = concerned.id and c.state <> 'ended'
    left join participant seat on seat.conversation_id = c.id
    left join masked_number through on through.id = seat.masked_number_id
    where given.carrier_id = any(new_ids)
        -- The same id twice in one call is the same text.
        and array_position(carrier_ids, given.carrier_id) = given.place
    order by given.place, c.id, seat.seat;
end
$$;
