-- Takes what the clock has to look at; rows that another replica is taking are left to it. $1: now; $2: until when
-- the claim holds; $3: at most this many; $4: what was due before this and was never offered is left to be missed.
with due as materialized (
    select id
    from targets
    where wake_at <= $1
      and (due_at >= $4 or offered_at is not null or recall is not null)
    order by wake_at, id
    limit $3
    for update skip locked
)
update targets set
    wake_at = $2,
    offered_at = case when targets.recall is null then $1 else targets.offered_at end
from due
where targets.id = due.id
returning targets.id
