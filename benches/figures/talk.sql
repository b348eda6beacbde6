-- What the service has the database do for one text that is passed on: the same locks, the same
-- rows, the same indexes. `n` is the conversation, in the order in which they were loaded. The tag
-- is looked up here, for want of the key; what is sealed has the right length only.
create function bench_talk(n bigint, numbers bigint) returns void language plpgsql as $$
declare
    sender text := '+1206' || lpad(n::text, 7, '0');
    tag bytea := (select s.tag from bench_sender s where s.n = bench_talk.n);
    body bytea := decode(repeat('5a', 70), 'hex');
    receiver text := '+1415' || lpad((n % numbers)::text, 7, '0');
    carrier text := 'mdr2-' || replace(gen_random_uuid()::text, '-', '');
    text_id uuid := gen_random_uuid();
    taken record;
begin
    select * into taken
    from take_in_by_tag(array[carrier], array[sender], array[tag], array[receiver],
        array[null::text], array[null::text], array[false], array[false],
        array[gen_random_uuid()], array[decode(repeat('5a', 81), 'hex')],
        array[decode(repeat('5a', 53), 'hex')], null)
    where participant_id <> person_id;
    with promised as (
        insert into outbox (id, kind, conversation_id, recipient_id, masked_number_id,
            cause, body_sealed, author_id, queued_at, due_at)
        values (text_id, 'relay', taken.conversation_id, taken.participant_id,
            taken.participant_number_id, carrier, body, taken.person_id, taken.taken_at,
            taken.taken_at)
    ), talked as (
        update conversation
        set last_talk_at = taken.taken_at
        where id = taken.conversation_id
    )
    insert into audit_record (id, at, kind, rule, conversation_id, person_id, recipient_id,
        masked_number, carrier_id, text_id, author_id, body_sealed)
    values (gen_random_uuid(), taken.taken_at, 'received', 'talk', taken.conversation_id,
            taken.person_id, null, receiver, carrier, null, taken.person_id, body),
        (gen_random_uuid(), taken.taken_at, 'relayed', null, taken.conversation_id,
            taken.person_id, taken.participant_id, receiver, carrier, text_id,
            taken.person_id, body);
end
$$;

-- The least that can be committed: what a commit costs by itself.
create table bench_commit (n bigint);
