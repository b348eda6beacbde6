-- What compliance may see of exports without the program: who asked for which, who granted it, and what
-- became of it. Not what it is of, nor where its file lies and what opens it: those are sealed.
create view compliance_export as
select e.id,
    -- Nobody decided in time.
    case when e.lapsed_at is null then e.state else 'lapsed' end as state,
    e.format, e.matter, e.reason, e.checkpoint_size, asker.name as asked_by, e.asked_at, e.lapses_at,
    decider.name as decided_by, e.decided_at, e.conversations, e.records, e.bytes, e.sha256, e.problem,
    e.ended_at, e.expires_at
from export_job e
join staff asker on asker.id = e.asked_by
left join staff decider on decider.id = e.decided_by;

select give_to_owner('compliance_export');
grant select on compliance_export to maskline_compliance;
