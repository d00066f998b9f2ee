-- $1: JSON list of posts and their states; $2: now; $3: the number of this change.
update posts set state = learned.state, updated_at = $2, change_seq = $3
from (select unhex(value ->> 'id') as post_id, value ->> 'state' as state from json_each($1)) as learned
where posts.id = learned.post_id
