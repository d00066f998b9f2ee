-- Published targets, their counts over time, and how far the publisher's events have been read.

create table cursors (
  name text primary key not null,
  sequence integer not null
) strict;

create table targets (
  id blob primary key not null,
  post_id blob not null,
  workspace_id blob not null,
  account_id blob not null,
  network text not null,
  -- The post's id at the network.
  native_id text not null,
  published_at integer not null,
  -- When to read next; empty when the schedule is over. Who reads pushes it ahead first, which is its lease.
  next_read_at integer,
  -- Reads that failed since the last one that worked.
  failures integer not null default 0,
  -- The newest counts; of a post that the network no longer knows, the last ones it told.
  likes integer not null default 0,
  reposts integer not null default 0,
  replies integer not null default 0,
  found integer not null default 1,
  read_at integer
) strict;

create index targets_by_post on targets (workspace_id, post_id);
create index targets_by_turn on targets (next_read_at) where next_read_at is not null;
create index targets_by_account_and_turn on targets (account_id, next_read_at) where next_read_at is not null;

-- Append-only.
create table snapshots (
  target_id blob not null references targets (id),
  read_at integer not null,
  found integer not null,
  likes integer not null,
  reposts integer not null,
  replies integer not null,
  primary key (target_id, read_at)
) strict;
