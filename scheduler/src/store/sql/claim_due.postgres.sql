-- Takes what the clock has to look at, of each tenant as many as its turn allows; rows that another replica is taking
-- are left to it. $1: now; $2: until when the claim holds; $3: JSON list of tenants and how many of each; $4: what was
-- due before this and was never offered is left to be missed. The ids travel as one array, so that the planner, who
-- cannot know the turns, takes the primary key whatever it believes about their number.
with due as materialized (
    select next.id
    from json_to_recordset($3::json) as turn (workspace uuid, most bigint)
    cross join lateral (
        select id
        from targets
        where workspace_id = turn.workspace
          and wake_at <= $1
          and (due_at >= $4 or offered_at is not null or recall is not null)
        order by wake_at, id
        limit turn.most
        for update skip locked
    ) as next
)
update targets set
    wake_at = $2,
    offered_at = case when recall is null then $1 else offered_at end
where id = any (array(select id from due))
returning id
