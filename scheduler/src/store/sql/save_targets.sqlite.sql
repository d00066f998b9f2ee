-- $1: JSON list of whole targets; ids and settings in hexadecimal.
insert into targets (
    id, post_id, workspace_id, position, thread_position, account_id, network, handle, text, settings, state,
    revision, due_at, offered_at, wake_at, recall, native_id, url, problem_reason, problem_message, published_at
)
select
    unhex(value ->> 'id'), unhex(value ->> 'post_id'), unhex(value ->> 'workspace_id'), value ->> 'position',
    value ->> 'thread_position', unhex(value ->> 'account_id'),
    value ->> 'network', value ->> 'handle', value ->> 'text', unhex(value ->> 'settings'), value ->> 'state',
    value ->> 'revision', value ->> 'due_at', value ->> 'offered_at', value ->> 'wake_at', value ->> 'recall',
    value ->> 'native_id', value ->> 'url', value ->> 'problem_reason', value ->> 'problem_message',
    value ->> 'published_at'
from json_each($1)
where true
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
