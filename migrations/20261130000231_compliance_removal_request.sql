-- What compliance may see of removals without the program: who asked for which months, who granted it, and
-- what became of each.
create view compliance_removal_request as
select r.id, m.month, r.matter, r.reason, asker.name as asked_by, r.asked_at, r.lapses_at, r.lapsed_at,
    decider.name as decided_by, r.decided_at, r.is_granted, r.open_until, m.stayed_at, m.stayed_because,
    gone.at as removed_at, gone.records as removed_records
from removal_request r
join removal_month m on m.request_id = r.id
join staff asker on asker.id = r.asked_by
left join staff decider on decider.id = r.decided_by
left join audit_removal gone on gone.request_id = m.request_id and gone.month = m.month;

select give_to_owner('compliance_removal_request');
grant select on compliance_removal_request to maskline_compliance;
