-- Posts, their targets, and what the scheduler remembers beside them.
create table posts (
    id           uuid   not null primary key,
    workspace_id uuid   not null,
    author_id    uuid   not null,
    text         text   not null,
    -- JSON list of the media with what the library knew of them.
    media        text   not null,
    -- One word derived from the targets, stored so that lists can be filtered.
    state        text   not null,
    due_at       bigint,
    -- Drafts sort after everything planned.
    due_order    bigint not null generated always as (coalesce(due_at, 9223372036854775807)) stored,
    revision     bigint not null,
    created_at   bigint not null,
    updated_at   bigint not null,
    -- The transaction that changed it last: compared with snapshots, so no change is overlooked.
    change_seq   bigint not null
);
create index posts_by_creation on posts (workspace_id, created_at, id);
create index posts_by_due on posts (workspace_id, due_order, id);
create index posts_by_state on posts (workspace_id, state, created_at, id);
create index posts_by_change on posts (change_seq, workspace_id);
create index posts_of_workspace_by_change on posts (workspace_id, change_seq);

create table targets (
    id              uuid   not null primary key,
    post_id         uuid   not null references posts (id) on delete cascade,
    position        bigint not null,
    account_id      uuid   not null,
    network         text   not null,
    handle          text   not null,
    text            text,
    settings        bytea  not null,
    state           text   not null,
    revision        bigint not null,
    due_at          bigint,
    -- When this revision was last offered to the publisher; null proves that it has never seen it.
    offered_at      bigint,
    -- When the clock looks at it next: the hand-over, or the repetition of an offer or a recall.
    wake_at         bigint,
    -- 'edit' or 'cancel' while the outcome of a recall is not stored.
    recall          text,
    native_id       text   not null,
    url             text   not null,
    problem_reason  text,
    problem_message text,
    published_at    bigint
);
create index targets_of_post on targets (post_id, position);
create index targets_by_account on targets (account_id, post_id);
create index targets_by_wake on targets (wake_at) where wake_at is not null;
-- For the count of those that should have gone long ago.
create index targets_waiting_by_due on targets (due_at) where wake_at is not null;

-- First answers, for repeated request ids.
create table requests (
    workspace_id uuid   not null,
    user_id      uuid   not null,
    method       text   not null,
    request_id   uuid   not null,
    body_sha256  bytea  not null,
    response     bytea  not null,
    created_at   bigint not null,
    primary key (workspace_id, user_id, method, request_id)
);
create index requests_by_age on requests (created_at);

-- How far other services' event streams have been taken in.
create table cursors (
    name     text   not null primary key,
    sequence bigint not null
);
insert into cursors (name, sequence) values ('publisher', 0);

-- Posts whose holds with the media library have to be set right, and when.
create table hold_checks (
    post_id      uuid   not null primary key,
    workspace_id uuid   not null,
    check_at     bigint not null
);
create index hold_checks_by_time on hold_checks (check_at);
