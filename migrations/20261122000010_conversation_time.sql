-- When a conversation ends by itself: after a silence, and at the latest at `ends_at`. Each has its
-- own terms, copied from the settings when it is opened.
alter table conversation
    add column silence_seconds integer not null default 259200 check (silence_seconds >= 7200),
    add column ends_at timestamptz not null default now() + interval '30 days',
    add column last_talk_at timestamptz,
    add column warned_at timestamptz,
    -- When the sweeper looks at it next. A text does not move it: the sweeper finds the text when it
    -- looks, and goes away again. So talk changes no indexed column.
    add column next_look_at timestamptz not null default now(),
    -- Who asked for it to be opened again, and which ended conversation this one continues.
    add column reopen_asked_by uuid references person,
    add column reopen_asked_at timestamptz,
    add column reopens uuid references conversation,
    add check ((reopen_asked_by is null) = (reopen_asked_at is null));
-- The silence of what is open already begins now.
update conversation set last_talk_at = now() where state = 'active';
alter table conversation set (fillfactor = 80);
create index conversation_next_look on conversation (next_look_at) where state <> 'ended';
