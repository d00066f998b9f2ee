-- Deliveries, their attempts and handles, the account leases, and the outbox of events.
-- All times are Unix milliseconds of this database's clock.

create table deliveries (
    target_id         uuid primary key,
    post_id           uuid not null,
    workspace_id      uuid not null,
    account_id        uuid not null,
    network           text not null,
    revision          bigint not null,
    content           text not null,             -- JSON
    content_sha256    bytea not null,
    plan              text not null,             -- JSON; decided before the first call, the same for every attempt
    due_at            bigint not null,
    late_at           bigint not null,          -- due_at + how late it may go out
    state             text not null,
    next_at           bigint,                   -- when something must be done at the latest; null when final
    tries             bigint not null default 0,
    attempt_n         bigint not null default 0,
    first_armed_at    bigint,                   -- of this revision
    send_deadline     bigint,                   -- of its last attempt
    is_open           boolean not null default false, -- its last attempt has no outcome yet
    doubt_since       bigint,
    quiet_at          bigint,
    absent_reads      bigint not null default 0,
    absent_since      bigint,
    refusal_code      text,
    refusal_message   text,
    processing_handle text,
    native_id         text,
    url               text,
    evidence          text,
    problem_code      text,
    problem_message   text,
    updated_at        bigint not null
);

-- The sweeper: whatever is not final has a next moment.
create index deliveries_next on deliveries (next_at, account_id) where next_at is not null;
-- The account's line, in order.
create index deliveries_line on deliveries (account_id, due_at, target_id)
    where state in ('handed_over', 'preparing', 'prepared', 'sending', 'retry_wait', 'unknown');
create index deliveries_parked on deliveries (account_id) where state = 'parked';
-- Ids at the network that are taken, newest last.
create index deliveries_native on deliveries (account_id, first_armed_at) where native_id is not null;
create index deliveries_workspace on deliveries (workspace_id, target_id);

-- A recalled revision can never be accepted, even when it arrives after its recall.
create table recalls (
    target_id    uuid not null,
    workspace_id uuid not null,
    revision     bigint not null,               -- this and every older one
    recalled_at  bigint not null,
    primary key (target_id, workspace_id)
);

-- Append-only, but for the outcome.
create table publish_attempts (
    target_id      uuid not null,
    n              bigint not null,
    account_id     uuid not null,
    fence          bigint not null,
    nonce          uuid not null,                -- finds the row when the answer to the commit was lost
    key            text not null,
    revision       bigint not null,
    request_sha256 bytea not null,
    armed_at       bigint not null,
    send_deadline  bigint not null,
    outcome        text,                         -- null while open
    http_status    bigint,
    platform_code  text,
    request_id     text,
    native_id      text,
    evidence       text,
    closed_at      bigint,
    primary key (target_id, n)
);

-- The two indexes that carry the promise: one open attempt per target, and per account.
create unique index attempts_open_target on publish_attempts (target_id) where outcome is null;
create unique index attempts_open_account on publish_attempts (account_id) where outcome is null;
create unique index attempts_nonce on publish_attempts (nonce);

create table handles (
    target_id  uuid not null,
    revision   bigint not null,
    step       text not null,
    handle     text not null,                    -- JSON
    created_at bigint not null,
    primary key (target_id, revision, step)
);

-- Who serves an account. The permits of its rate live in the same row, so ARM takes both with one statement.
create table account_leases (
    account_id   uuid primary key,
    owner        uuid not null,
    fence        bigint not null,
    until_at     bigint not null,
    window_from  bigint not null default 0,
    window_used  bigint not null default 0
);

-- The outbox. Transactions commit in another order than they insert, so the sequence is given afterwards, in batches,
-- by one session at a time: a tailer that has seen sequence n has seen every event below it.
create table events (
    id              bigint generated always as identity primary key,
    sequence        bigint unique,
    target_id       uuid not null,
    post_id         uuid not null,
    workspace_id    uuid not null,
    account_id      uuid not null,
    network         text not null,
    revision        bigint not null,
    state           text not null,
    native_id       text,
    url             text,
    problem_code    text,
    problem_message text,
    happened_at     bigint not null
);

create index events_unsequenced on events (id) where sequence is null;

-- The last sequence given out; its one row is the lock of whoever gives out the next ones.
create table event_cursor (
    last bigint not null
);
insert into event_cursor (last) values (0);

-- What must be remembered about this database itself: its epoch, and since when a restored copy is in use.
create table marks (
    name  text primary key,
    value text not null
);
