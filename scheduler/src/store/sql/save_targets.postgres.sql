-- $1: JSON list of whole targets; ids and settings in hexadecimal.
insert into targets (
    id, post_id, workspace_id, position, thread_position, account_id, network, handle, text, settings, state,
    revision, due_at, offered_at, wake_at, recall, native_id, url, problem_reason, problem_message, published_at
)
select
    id, post_id, workspace_id, position, thread_position, account_id, network, handle, text, decode(settings, 'hex'),
    state, revision, due_at, offered_at, wake_at, recall, native_id, url, problem_reason, problem_message, published_at
from json_to_recordset($1::json) as target (
    id uuid, post_id uuid, workspace_id uuid, position bigint, thread_position bigint, account_id uuid, network text, handle text, text text, settings text,
    state text, revision bigint, due_at bigint, offered_at bigint, wake_at bigint, recall text, native_id text,
    url text, problem_reason text, problem_message text, published_at bigint
)
on conflict (id) do update set
    position = excluded.position,
    network = excluded.network,
    handle = excluded.handle,
    text = excluded.text,
    settings = excluded.settings,
    state = excluded.state,
    revision = excluded.revision,
    due_at = excluded.due_at,
    offered_at = excluded.offered_at,
    wake_at = excluded.wake_at,
    recall = excluded.recall,
    native_id = excluded.native_id,
    url = excluded.url,
    problem_reason = excluded.problem_reason,
    problem_message = excluded.problem_message,
    published_at = excluded.published_at,
    -- A new revision is checked anew.
    check_after = case when targets.revision = excluded.revision then targets.check_after end
