-- Since when the signer refuses to sign, because the trail is not what was signed or handed out before;
-- null while it signs. And with what a verification asked for in the console compared the trail.
set local lock_timeout = '3s';

alter table audit_seal add column refused_since timestamptz;

alter table verification
    -- How many checkpoints that are kept outside were compared, and how many records the greatest counts that fitted.
    add column kept bigint not null default 0 check (kept >= 0),
    add column vouched bigint not null default 0 check (vouched >= 0),
    -- How many folders could not be read.
    add column unread integer not null default 0 check (unread >= 0);
