-- Published targets, their counts over time, and how far the publisher's events have been read.

create table cursors (
  name text primary key not null,
  sequence bigint not null
);

create table targets (
  id uuid primary key not null,
  post_id uuid not null,
  workspace_id uuid not null,
  account_id uuid not null,
  network text not null,
  -- The post's id at the network.
  native_id text not null,
  published_at bigint not null,
  -- When to read next; empty when the schedule is over. Who reads pushes it ahead first, which is its lease.
  next_read_at bigint,
  -- Reads that failed since the last one that worked.
  failures bigint not null default 0,
  -- The newest counts; of a post that the network no longer knows, the last ones it told.
  likes bigint not null default 0,
  reposts bigint not null default 0,
  replies bigint not null default 0,
  found boolean not null default true,
  read_at bigint
);

create index targets_by_post on targets (workspace_id, post_id);
create index targets_by_turn on targets (next_read_at) where next_read_at is not null;
create index targets_by_account_and_turn on targets (account_id, next_read_at) where next_read_at is not null;

-- Append-only.
create table snapshots (
  target_id uuid not null references targets (id),
  read_at bigint not null,
  found boolean not null,
  likes bigint not null,
  reposts bigint not null,
  replies bigint not null,
  primary key (target_id, read_at)
);
