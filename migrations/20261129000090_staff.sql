-- Who may use the console. Nobody is ever removed: the trail and the holds name them.
create table staff (
    id uuid primary key,
    name text not null check (name = btrim(name) and char_length(name) between 1 and 60),
    role text not null check (role in ('operator', 'auditor', 'approver', 'admin')),
    password_hash text not null check (password_hash like '$argon2id$%'),
    -- Somebody else knows the password, so it opens nothing but the page that changes it.
    must_change boolean not null default true,
    -- What the codes of the second factor are made from, under Maskline's own key.
    totp_sealed bytea not null,
    -- The last half minute whose code was used. None is used twice.
    totp_step bigint not null default 0,
    created_at timestamptz not null,
    disabled_at timestamptz,
    -- How often in a row signing in failed, and until when nobody is let in for that.
    failures integer not null default 0 check (failures >= 0),
    locked_until timestamptz
);
-- One person, one name, for ever: holds and reveals are released and approved by another name.
create unique index staff_name on staff (lower(name));

-- A browser that is signed in. The cookie holds a random token, this its SHA-256.
create table staff_session (
    id uuid primary key,
    token_hash bytea not null unique check (octet_length(token_hash) = 32),
    staff_id uuid not null references staff,
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    address text not null check (address <> ''),
    agent text not null check (char_length(agent) <= 120),
    ended_at timestamptz,
    end_reason text check (end_reason in
        ('signed_out', 'replaced', 'revoked', 'disabled', 'password')),
    check ((ended_at is null) = (end_reason is null)),
    check (last_seen_at >= created_at)
);
create index staff_session_open on staff_session (staff_id) where ended_at is null;

-- How often signing in failed from an address, and until when nobody is let in from there.
create table sign_in_failure (
    address text primary key check (address <> ''),
    failures integer not null check (failures >= 0),
    since timestamptz not null,
    locked_until timestamptz
);
create index sign_in_failure_since on sign_in_failure (since);

-- What staff did is listed apart from the texts of millions.
create index audit_record_staff on audit_record (at desc, id desc) where kind = 'staff';

do $$
begin
    if exists (select from pg_roles where rolname = 'maskline_app') then
        grant select, insert, update on staff, staff_session to maskline_app;
        grant select, insert, update, delete on sign_in_failure to maskline_app;
    end if;
end
$$;
