-- $1: JSON list of what facts changed about targets.
update targets set
    state = fact ->> 'state',
    revision = fact ->> 'revision',
    due_at = fact ->> 'due_at',
    offered_at = fact ->> 'offered_at',
    native_id = fact ->> 'native_id',
    url = fact ->> 'url',
    problem_reason = fact ->> 'problem_reason',
    problem_message = fact ->> 'problem_message',
    published_at = fact ->> 'published_at',
    wake_at = fact ->> 'wake_at',
    recall = fact ->> 'recall'
from (select unhex(value ->> 'id') as target_id, value as fact from json_each($1)) as learned
where targets.id = learned.target_id
