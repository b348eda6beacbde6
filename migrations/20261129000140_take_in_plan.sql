-- One plan for each statement of `take_in_by_tag`, made once by each connection.
--
-- Left to itself PostgreSQL plans some of them anew for each text: a plan for whatever number of texts
-- looks dearer to it than one for the single text at hand, however little it differs. Planning took a
-- quarter of the time that a text takes, or none, as the first five on a connection happened to be.
alter function take_in_by_tag(text[], text[], bytea[], text[], text[], text[], boolean[], boolean[],
    uuid[], bytea[], bytea[], timestamptz) set plan_cache_mode = force_generic_plan;
