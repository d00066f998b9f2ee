-- Posts, their targets, and what the scheduler remembers beside them.
create table posts (
    id           blob    not null primary key,
    workspace_id blob    not null,
    author_id    blob    not null,
    text         text    not null,
    -- JSON list of the media with what the library knew of them.
    media        text    not null,
    -- One word derived from the targets, stored so that lists can be filtered.
    state        text    not null,
    due_at       integer,
    -- Drafts sort after everything planned.
    due_order    integer not null generated always as (coalesce(due_at, 9223372036854775807)) stored,
    revision     integer not null,
    created_at   integer not null,
    updated_at   integer not null,
    change_seq   integer not null
) strict;
create index posts_by_creation on posts (workspace_id, created_at, id);
create index posts_by_due on posts (workspace_id, due_order, id);
create index posts_by_state on posts (workspace_id, state, created_at, id);
create index posts_by_change on posts (change_seq, workspace_id);
create index posts_of_workspace_by_change on posts (workspace_id, change_seq);

create table targets (
    id              blob    not null primary key,
    post_id         blob    not null references posts (id) on delete cascade,
    position        integer not null,
    account_id      blob    not null,
    network         text    not null,
    handle          text    not null,
    text            text,
    settings        blob    not null,
    state           text    not null,
    revision        integer not null,
    due_at          integer,
    -- When this revision was last offered to the publisher; null proves that it has never seen it.
    offered_at      integer,
    -- When the clock looks at it next: the hand-over, or the repetition of an offer or a recall.
    wake_at         integer,
    -- 'edit' or 'cancel' while the outcome of a recall is not stored.
    recall          text,
    native_id       text    not null,
    url             text    not null,
    problem_reason  text,
    problem_message text,
    published_at    integer
) strict;
create index targets_of_post on targets (post_id, position);
create index targets_by_account on targets (account_id, post_id);
create index targets_by_wake on targets (wake_at) where wake_at is not null;
-- For the count of those that should have gone long ago.
create index targets_waiting_by_due on targets (due_at) where wake_at is not null;

-- First answers, for repeated request ids.
create table requests (
    workspace_id blob    not null,
    user_id      blob    not null,
    method       text    not null,
    request_id   blob    not null,
    body_sha256  blob    not null,
    response     blob    not null,
    created_at   integer not null,
    primary key (workspace_id, user_id, method, request_id)
) strict;
create index requests_by_age on requests (created_at);

-- How far other services' event streams have been taken in.
create table cursors (
    name     text    not null primary key,
    sequence integer not null
) strict;
insert into cursors (name, sequence) values ('publisher', 0);

-- Posts whose holds with the media library have to be set right, and when.
create table hold_checks (
    post_id      blob    not null primary key,
    workspace_id blob    not null,
    check_at     integer not null
) strict;
create index hold_checks_by_time on hold_checks (check_at);

-- Numbers the changes of posts; there is one writer, so the numbers are in commit order.
create table change_counter (
    value integer not null
) strict;
insert into change_counter (value) values (1);
