-- Months of the trail that staff ask to have removed because they are old. One account asks, another grants it, and
-- the owner of the trail carries it out: the service may note the first two, and remove nothing.
set local lock_timeout = '3s';

create table removal_request (
    id uuid primary key,
    reason text not null check (reason <> ''),
    -- The case that it is for.
    matter text not null check (matter <> ''),
    asked_by uuid not null references staff,
    asked_at timestamptz not null,
    -- From when on it can be granted no more, and when it was put on record that nobody had decided.
    lapses_at timestamptz not null,
    lapsed_at timestamptz,
    decided_by uuid references staff,
    decided_at timestamptz,
    is_granted boolean,
    -- Until when the owner may act on it.
    open_until timestamptz,
    constraint removal_request_takes_two check (decided_by <> asked_by),
    constraint removal_request_decided check (num_nonnulls(decided_by, decided_at, is_granted) in (0, 3)),
    constraint removal_request_in_time check (decided_at < lapses_at),
    constraint removal_request_lapsed check (lapsed_at is null or decided_at is null),
    constraint removal_request_open check ((open_until is not null) = coalesce(is_granted, false))
);
create index removal_request_undecided on removal_request (lapses_at)
    where decided_at is null and lapsed_at is null;
create index removal_request_asked_at on removal_request (asked_at);

create table removal_month (
    request_id uuid not null references removal_request,
    -- Its first day, in UTC.
    month date not null check (extract(day from month) = 1),
    -- How many records it had when somebody asked.
    records bigint not null check (records >= 0),
    -- When the owner last left it where it is, and why.
    stayed_at timestamptz,
    stayed_because text check (stayed_because <> ''),
    primary key (request_id, month),
    constraint removal_month_stayed check (num_nonnulls(stayed_at, stayed_because) in (0, 2))
);

-- Which request a month was removed by, if by any. Only the owner writes that down, along with the removal.
alter table audit_removal
    add column request_id uuid,
    add constraint audit_removal_asked_for
        foreign key (request_id, month) references removal_month (request_id, month);

select give_to_owner('removal_request', 'removal_month');
grant select, insert, update on removal_request to maskline_app;
grant select, insert on removal_month to maskline_app;
