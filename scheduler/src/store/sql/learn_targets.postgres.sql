-- $1: JSON list of what facts changed about targets.
update targets set
    state = fact.state,
    revision = fact.revision,
    due_at = fact.due_at,
    offered_at = fact.offered_at,
    native_id = fact.native_id,
    url = fact.url,
    problem_reason = fact.problem_reason,
    problem_message = fact.problem_message,
    published_at = fact.published_at,
    wake_at = fact.wake_at,
    recall = fact.recall
from json_to_recordset($1::json) as fact (
    id uuid, state text, native_id text, url text, problem_reason text, problem_message text, published_at bigint,
    wake_at bigint, recall text, revision bigint, due_at bigint, offered_at bigint
)
where targets.id = fact.id
