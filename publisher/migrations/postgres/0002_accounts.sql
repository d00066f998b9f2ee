-- Connected accounts with their sealed tokens, the attempts to connect, and what is still to be revoked.
-- Sealed values open only in the row, the column and the version they were sealed for.

create table accounts (
    id                uuid primary key,
    workspace_id      uuid not null,
    network           text not null,
    server            text not null,
    native_id         text not null,
    identity          text not null,             -- the native id, with its server where ids are per server
    handle            text not null,
    display_name      text not null,
    avatar_url        text not null,
    profile_url       text not null,
    state             text not null,             -- connected, needs_reconnect, disconnected
    state_message     text not null,
    limits            text not null,             -- JSON
    access_token      bytea,                      -- sealed; null once disconnected
    refresh_token     bytea,                      -- sealed
    extra             bytea,                      -- sealed
    access_expires_at bigint,
    token_version     bigint not null,
    refresh_version   bigint,                   -- the version whose refresh was begun
    refresh_tries     bigint not null default 0, -- how often
    created_at        bigint not null,
    updated_at        bigint not null
);

create unique index accounts_identity on accounts (workspace_id, network, identity);
create index accounts_listing on accounts (workspace_id, created_at, id);
create index accounts_expiring on accounts (access_expires_at) where state = 'connected' and access_expires_at is not null;

create table connections (
    id                uuid primary key,
    workspace_id      uuid not null,
    user_id           uuid not null,
    network           text not null,
    server            text not null,
    request_id        uuid,
    status            text not null,             -- pending, received, refused, completed
    state_sha256      bytea,                      -- null for app passwords
    authorization_url bytea,                      -- sealed: it carries the state
    verifier          bytea,                      -- sealed
    registration      bytea,                      -- sealed
    code              bytea,                      -- sealed
    redirect_uri      text not null,
    return_path       text not null,
    issuer            text not null,
    problem           text not null,
    account_id        uuid,
    created_at        bigint not null,
    expires_at        bigint not null
);

create unique index connections_state on connections (state_sha256) where state_sha256 is not null;
create unique index connections_request on connections (workspace_id, user_id, request_id) where request_id is not null;
create index connections_expiry on connections (expires_at);

-- Our applications at servers that ask for one, kept for further attempts.
create table registrations (
    network       text not null,
    server        text not null,
    redirect_uri  text not null,
    registration  bytea not null,                 -- sealed
    updated_at    bigint not null,
    primary key (network, server, redirect_uri)
);

-- Tokens of disconnected accounts until the network has taken the authorization back, or can no longer be asked to.
create table revocations (
    id                uuid primary key,
    account_id        uuid not null,
    workspace_id      uuid not null,
    network           text not null,
    server            text not null,
    native_id         text not null,
    access_token      bytea not null,             -- sealed, as moved from the account
    refresh_token     bytea,
    extra             bytea,
    token_version     bigint not null,
    tries             bigint not null default 0,
    next_at           bigint not null,
    give_up_at        bigint not null
);

create index revocations_next on revocations (next_at);
