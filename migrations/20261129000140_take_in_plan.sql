-- Taking in texts, for less: one plan for each statement, and fewer statements for people who are known.
--
-- Left to itself PostgreSQL plans some of them anew for each text: a plan for whatever number of texts
-- looks dearer to it than one for the single text at hand, however little it differs. Planning took a
-- quarter of the time that a text takes, or none, as the first five on a connection happened to be.
--
-- What the function does, and in which order it locks, is as before.
create or replace function take_in_by_tag(
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
) language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    now_ timestamptz := coalesce(instead, clock_timestamp());
    new_ids text[];
    known uuid[];               -- who sent these texts
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

    known := array(select p.id from person p where p.tag = any(tags));
    if cardinality(known) < cardinality(tags) then
        -- Somebody is new, if it is not one who wrote twice.
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

        known := array(select p.id from person p where p.tag = any(tags));
    end if;
    people := known;
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
            from participant p
            where p.person_id = any(known) and p.left_at is null
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
