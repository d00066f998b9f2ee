-- Users, the workspaces they belong to, their sessions, and the keys that sign access tokens.

create table users (
  id blob primary key not null,
  email text not null,
  -- Lower case: addresses are compared without regard to case.
  email_key text not null unique,
  display_name text not null,
  -- PHC string, argon2id.
  password_hash text not null,
  created_at integer not null
) strict;

create table workspaces (
  id blob primary key not null,
  display_name text not null,
  created_at integer not null
) strict;

create table memberships (
  workspace_id blob not null references workspaces (id),
  user_id blob not null references users (id),
  role text not null,
  created_at integer not null,
  primary key (workspace_id, user_id)
) strict;

create index memberships_by_user on memberships (user_id, created_at);

-- Answers of Register by request id, kept while a client may still repeat the request.
create table registrations (
  request_id blob primary key not null,
  -- SHA-256 of the request's fields without the password.
  fingerprint blob not null,
  user_id blob not null,
  workspace_id blob not null,
  created_at integer not null
) strict;

create index registrations_by_age on registrations (created_at);

-- A session is one family of refresh tokens.
create table sessions (
  id blob primary key not null,
  user_id blob not null references users (id),
  workspace_id blob not null references workspaces (id),
  created_at integer not null,
  refreshed_at integer not null,
  expires_at integer not null,
  ended_at integer,
  -- logout, reuse, membership
  ended_because text
) strict;

create index sessions_by_user on sessions (user_id);
create index sessions_by_end on sessions (expires_at);

create table refresh_tokens (
  -- SHA-256: the token itself is never stored in the open.
  hash blob primary key not null,
  session_id blob not null references sessions (id) on delete cascade,
  issued_at integer not null,
  used_at integer,
  -- The pair that replaced it, sealed; kept for the grace in which parallel refreshes get the same answer.
  successor blob
) strict;

create index refresh_tokens_by_session on refresh_tokens (session_id);
create index refresh_tokens_with_successor on refresh_tokens (used_at) where successor is not null;

create table signing_keys (
  -- Replicas that rotate at once agree through this key.
  generation integer primary key not null,
  kid text not null unique,
  public_key blob not null,
  -- PKCS#8, sealed.
  private_key blob not null,
  created_at integer not null,
  -- Known to everyone before it signs.
  sign_from integer not null,
  -- Set when a successor exists: after it no token of this key is left.
  verify_until integer
) strict;
