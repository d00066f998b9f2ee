-- $1: JSON list of posts and their states; $2: now; $3: the number of this change.
update posts set state = learned.state, updated_at = $2, change_seq = $3
from json_to_recordset($1::json) as learned (id uuid, state text)
where posts.id = learned.id
