-- Users, the workspaces they belong to, their sessions, and the keys that sign access tokens.

create table users (
  id uuid primary key not null,
  email text not null,
  -- Lower case: addresses are compared without regard to case.
  email_key text not null unique,
  display_name text not null,
  -- PHC string, argon2id.
  password_hash text not null,
  created_at bigint not null
);

create table workspaces (
  id uuid primary key not null,
  display_name text not null,
  created_at bigint not null
);

create table memberships (
  workspace_id uuid not null references workspaces (id),
  user_id uuid not null references users (id),
  role text not null,
  created_at bigint not null,
  primary key (workspace_id, user_id)
);

create index memberships_by_user on memberships (user_id, created_at);

-- Answers of Register by request id, kept while a client may still repeat the request.
create table registrations (
  request_id uuid primary key not null,
  -- SHA-256 of the request's fields without the password.
  fingerprint bytea not null,
  user_id uuid not null,
  workspace_id uuid not null,
  created_at bigint not null
);

create index registrations_by_age on registrations (created_at);

-- A session is one family of refresh tokens.
create table sessions (
  id uuid primary key not null,
  user_id uuid not null references users (id),
  workspace_id uuid not null references workspaces (id),
  created_at bigint not null,
  refreshed_at bigint not null,
  expires_at bigint not null,
  ended_at bigint,
  -- logout, reuse, membership
  ended_because text
);

create index sessions_by_user on sessions (user_id);
create index sessions_by_end on sessions (expires_at);

create table refresh_tokens (
  -- SHA-256: the token itself is never stored in the open.
  hash bytea primary key not null,
  session_id uuid not null references sessions (id) on delete cascade,
  issued_at bigint not null,
  used_at bigint,
  -- The pair that replaced it, sealed; kept for the grace in which parallel refreshes get the same answer.
  successor bytea
);

create index refresh_tokens_by_session on refresh_tokens (session_id);
create index refresh_tokens_with_successor on refresh_tokens (used_at) where successor is not null;

create table signing_keys (
  -- Replicas that rotate at once agree through this key.
  generation bigint primary key not null,
  kid text not null unique,
  public_key bytea not null,
  -- PKCS#8, sealed.
  private_key bytea not null,
  created_at bigint not null,
  -- Known to everyone before it signs.
  sign_from bigint not null,
  -- Set when a successor exists: after it no token of this key is left.
  verify_until bigint
);
