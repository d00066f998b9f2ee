-- Takes what the clock has to look at, of each tenant as many as its turn allows. $1: now; $2: until when the claim
-- holds; $3: JSON list of tenants and how many of each; $4: what was due before this and was never offered is left to
-- be missed; $5: the longest turn.
update targets set
    wake_at = $2,
    offered_at = case when recall is null then $1 else offered_at end
where id in (
    select unhex(next.value)
    from json_each($3) as turn
    cross join json_each((
        select json_group_array(hex(id))
        from (
            select id
            from targets
            where workspace_id = unhex(turn.value ->> 'workspace')
              and wake_at <= $1
              and (due_at >= $4 or offered_at is not null or recall is not null)
            order by wake_at, id
            limit $5
        )
    )) as next
    where next.key < (turn.value ->> 'most')
)
returning id
