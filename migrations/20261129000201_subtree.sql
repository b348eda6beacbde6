-- The roots of full trees of 4096 leaves each, in their order, so that proving some records reads the
-- leaves around them and not all there are. Nothing here is proof of anything: all of it follows from the
-- leaves, and is compared with a signed root before it is used.
create table audit_subtree (
    index bigint primary key check (index >= 0),
    root bytea not null check (octet_length(root) = 32)
);

select give_to_owner('audit_subtree');
grant select, insert on audit_subtree to maskline_app;
