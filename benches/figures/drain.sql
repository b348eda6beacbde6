-- What the service has the database do for a batch of the outbox: the limits are locked, what is due
-- is looked at, claimed and noted against the limit, then settled as accepted. One call, so one round
-- trip and one commit; the service has two commits and waits for the carrier in between. Returns how
-- many texts left.
create function bench_drain(room integer) returns bigint language plpgsql as $$
declare
    now_ timestamptz;
    due uuid[];
    claimed uuid[];
    left_at timestamptz[];
    counts_ integer[];
    recipients uuid[];
    lanes uuid[];
begin
    select recent, counts into left_at, counts_ from send_limit where kind = 'sms' for update;
    perform from send_limit where kind = 'mms' for update;
    now_ := clock_timestamp();
    due := array(
        select o.id
        from unnest(array[false, true]) as wanted (is_mms)
        cross join (values (true), (false)) as turn (urgent)
        cross join lateral (
            select *
            from outbox due
            where due.state = 'queued' and not due.held and due.is_mms = wanted.is_mms
                and due.urgent = turn.urgent and due.due_at <= now_
            order by due.due_at, due.seq
            limit room
        ) o
        left join lateral (
            select a.id
            from outbox a
            where a.recipient_id = o.recipient_id and a.lane = o.lane and a.seq < o.seq
                and a.passed_at is null and not a.urgent
            order by a.seq
            limit 1
        ) ahead on o.passed_at is null and not o.urgent
        left join suppression s on s.person_id = o.recipient_id
        left join carrier_block b
            on b.person_id = o.recipient_id and b.masked_number_id = o.masked_number_id
        where ahead.id is null and s.person_id is null and b.person_id is null
            and o.give_up_at is null
            and not exists (
                select from participant mine
                join participant met on met.conversation_id = mine.conversation_id
                    and met.person_id <> mine.person_id
                where mine.person_id = o.recipient_id
                    and mine.masked_number_id = o.masked_number_id
                    and mine.left_at is null
                    and mine.conversation_id <> o.conversation_id
                    and met.person_id not in (
                        select said.person_id from participant said
                        where said.conversation_id = o.conversation_id
                    )
            )
        order by o.urgent desc, o.due_at, o.seq
        limit room
    );
    with mine as (
        select id from outbox where id = any(due) and state = 'queued' for update skip locked
    ), taken as (
        update outbox o
        set state = 'sending', attempt = o.attempt + 1, leased_until = now_ + interval '1 minute',
            tried_at = now_, first_tried_at = coalesce(o.first_tried_at, now_)
        from mine
        join outbox text on text.id = mine.id
        join person p on p.id = text.recipient_id
        join masked_number m on m.id = text.masked_number_id
        left join person author on author.id = text.author_id
        where o.id = mine.id
        returning o.id, o.attempt, o.recipient_id, o.masked_number_id, o.body_sealed, o.is_mms,
            o.queued_at, o.media, o.author_id, author.wrapped_key as author_key, p.wrapped_key,
            p.number_sealed, m.number as masked_number
    )
    select array_agg(id) into claimed from taken;
    if claimed is null then
        return 0;
    end if;
    update send_limit
    set recent = array(select at from unnest(left_at) at where at > now_ - interval '1 second')
            || now_,
        counts = array(
            select count
            from unnest(left_at, counts_) as noted (at, count)
            where at > now_ - interval '1 second'
        ) || cardinality(claimed)
    where kind = 'sms';

    now_ := clock_timestamp();
    with taken as (
        delete from outbox o
        where o.id = any(claimed) and o.attempt > 0
        returning o.id, o.conversation_id, o.recipient_id, o.masked_number_id, o.tried_at, o.lane,
            'mdr2-' || replace(gen_random_uuid()::text, '-', '') as carrier_id
    ), kept as (
        insert into carrier_message (carrier_id, direction, noted_at, text_id, delivery,
            recipient_id, masked_number_id, tried_at)
        select carrier_id, 'outbound', now_, id, 'sent', recipient_id, masked_number_id, tried_at
        from taken
        on conflict (carrier_id) do nothing
    ), noted as (
        insert into audit_record (id, at, kind, conversation_id, recipient_id, masked_number,
            carrier_id, text_id)
        select gen_random_uuid(), now_, 'accepted', t.conversation_id, t.recipient_id, m.number,
            t.carrier_id, t.id
        from taken t
        join masked_number m on m.id = t.masked_number_id
    )
    select array_agg(recipient_id), array_agg(lane) into recipients, lanes from taken;
    update outbox o
    set due_at = now_
    from unnest(recipients, lanes) as open (recipient_id, lane)
    cross join lateral (
        select n.id
        from outbox n
        where n.recipient_id = open.recipient_id and n.lane = open.lane
            and n.passed_at is null and not n.urgent
        order by n.seq
        limit 1
    ) next
    where o.id = next.id and o.state = 'queued' and (o.attempt = 0 or o.due_at = 'infinity');
    return cardinality(claimed);
end
$$;
