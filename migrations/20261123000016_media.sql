-- Pictures that came along with a text, until they are old: where they come from, what became of
-- them, and under which name they lie in the storage. They never lie in the database itself.
create table media (
    id uuid primary key,
    -- The text in the outbox that is held for them, and their order in it. That row leaves once the
    -- carrier has accepted it; its pictures are served for a while longer.
    text_id uuid not null,
    place smallint not null,
    -- Who sent them, through which number, in which conversation: whom to tell what was refused.
    sender_id uuid not null references person,
    masked_number_id uuid not null references masked_number,
    conversation_id uuid references conversation,
    -- Signed by the carrier, so it opens the original: forgotten as soon as that is not needed.
    source_url text,
    state text not null default 'pending' check (state in ('pending', 'ready', 'refused')),
    refused text,
    -- Drawn at random before the picture is fetched, so that a second try overwrites the first.
    storage_key text not null unique,
    -- What is passed on, as it lies in the storage.
    mime text,
    bytes integer,
    sha256 bytea,
    -- Of the token in its URL; the token itself stands nowhere but in the outbox.
    token_digest bytea unique,
    expires_at timestamptz,
    attempts smallint not null default 0,
    due_at timestamptz not null,
    leased_until timestamptz,
    created_at timestamptz not null,
    unique (text_id, place),
    check ((state = 'pending') = (source_url is not null)),
    check ((state = 'refused') = (refused is not null)),
    check (state <> 'ready' or (mime is not null and bytes is not null and sha256 is not null)),
    check ((token_digest is null) = (expires_at is null))
);
create index media_pending on media (due_at) where state = 'pending';
create index media_old on media (created_at);

-- The tokens of the pictures that go with a text. A text may be pictures alone.
alter table outbox
    add column media text[] not null default '{}',
    drop constraint outbox_body_check,
    add constraint outbox_body_check check (body <> '' or is_mms),
    add constraint outbox_media_check check (cardinality(media) = 0 or is_mms);
create index outbox_held on outbox (id) where held;
