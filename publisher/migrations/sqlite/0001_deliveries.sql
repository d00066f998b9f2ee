-- Deliveries, their attempts and handles, the account leases, and the outbox of events.
-- All times are Unix milliseconds of this database's clock.

create table deliveries (
    target_id         blob primary key,
    post_id           blob not null,
    workspace_id      blob not null,
    account_id        blob not null,
    network           text not null,
    revision          integer not null,
    content           text not null,             -- JSON
    content_sha256    blob not null,
    plan              text not null,             -- JSON; decided before the first call, the same for every attempt
    due_at            integer not null,
    late_at           integer not null,          -- due_at + how late it may go out
    state             text not null,
    next_at           integer,                   -- when something must be done at the latest; null when final
    tries             integer not null default 0,
    attempt_n         integer not null default 0,
    first_armed_at    integer,                   -- of this revision
    send_deadline     integer,                   -- of its last attempt
    is_open           integer not null default 0, -- its last attempt has no outcome yet
    doubt_since       integer,
    quiet_at          integer,
    absent_reads      integer not null default 0,
    absent_since      integer,
    refusal_code      text,
    refusal_message   text,
    processing_handle text,
    native_id         text,
    url               text,
    evidence          text,
    problem_code      text,
    problem_message   text,
    updated_at        integer not null
) strict, without rowid;

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
    target_id    blob not null,
    workspace_id blob not null,
    revision     integer not null,               -- this and every older one
    recalled_at  integer not null,
    primary key (target_id, workspace_id)
) strict, without rowid;

-- Append-only, but for the outcome.
create table publish_attempts (
    target_id      blob not null,
    n              integer not null,
    account_id     blob not null,
    fence          integer not null,
    nonce          blob not null,                -- finds the row when the answer to the commit was lost
    key            text not null,
    revision       integer not null,
    request_sha256 blob not null,
    armed_at       integer not null,
    send_deadline  integer not null,
    outcome        text,                         -- null while open
    http_status    integer,
    platform_code  text,
    request_id     text,
    native_id      text,
    evidence       text,
    closed_at      integer,
    primary key (target_id, n)
) strict, without rowid;

-- The two indexes that carry the promise: one open attempt per target, and per account.
create unique index attempts_open_target on publish_attempts (target_id) where outcome is null;
create unique index attempts_open_account on publish_attempts (account_id) where outcome is null;
create unique index attempts_nonce on publish_attempts (nonce);

create table handles (
    target_id  blob not null,
    revision   integer not null,
    step       text not null,
    handle     text not null,                    -- JSON
    created_at integer not null,
    primary key (target_id, revision, step)
) strict, without rowid;

-- Who serves an account. The permits of its rate live in the same row, so ARM takes both with one statement.
create table account_leases (
    account_id   blob primary key,
    owner        blob not null,
    fence        integer not null,
    until_at     integer not null,
    window_from  integer not null default 0,
    window_used  integer not null default 0
) strict, without rowid;

-- The outbox. One writer gives out the sequence, so it grows in the order of commits.
create table events (
    sequence        integer primary key autoincrement,
    target_id       blob not null,
    post_id         blob not null,
    workspace_id    blob not null,
    account_id      blob not null,
    network         text not null,
    revision        integer not null,
    state           text not null,
    native_id       text,
    url             text,
    problem_code    text,
    problem_message text,
    happened_at     integer not null
) strict;

-- What must be remembered about this database itself: its epoch, and since when a restored copy is in use.
create table marks (
    name  text primary key,
    value text not null
) strict, without rowid;
