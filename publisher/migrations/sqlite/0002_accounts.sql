-- Connected accounts with their sealed tokens, the attempts to connect, and what is still to be revoked.
-- Sealed values open only in the row, the column and the version they were sealed for.

create table accounts (
    id                blob primary key,
    workspace_id      blob not null,
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
    access_token      blob,                      -- sealed; null once disconnected
    refresh_token     blob,                      -- sealed
    extra             blob,                      -- sealed
    access_expires_at integer,
    token_version     integer not null,
    refresh_version   integer,                   -- the version whose refresh was begun
    refresh_tries     integer not null default 0, -- how often
    created_at        integer not null,
    updated_at        integer not null
) strict, without rowid;

create unique index accounts_identity on accounts (workspace_id, network, identity);
create index accounts_listing on accounts (workspace_id, created_at, id);
create index accounts_expiring on accounts (access_expires_at) where state = 'connected' and access_expires_at is not null;

create table connections (
    id                blob primary key,
    workspace_id      blob not null,
    user_id           blob not null,
    network           text not null,
    server            text not null,
    request_id        blob,
    status            text not null,             -- pending, received, refused, completed
    state_sha256      blob,                      -- null for app passwords
    authorization_url blob,                      -- sealed: it carries the state
    verifier          blob,                      -- sealed
    registration      blob,                      -- sealed
    code              blob,                      -- sealed
    redirect_uri      text not null,
    return_path       text not null,
    issuer            text not null,
    problem           text not null,
    account_id        blob,
    created_at        integer not null,
    expires_at        integer not null
) strict, without rowid;

create unique index connections_state on connections (state_sha256) where state_sha256 is not null;
create unique index connections_request on connections (workspace_id, user_id, request_id) where request_id is not null;
create index connections_expiry on connections (expires_at);

-- Our applications at servers that ask for one, kept for further attempts.
create table registrations (
    network       text not null,
    server        text not null,
    redirect_uri  text not null,
    registration  blob not null,                 -- sealed
    updated_at    integer not null,
    primary key (network, server, redirect_uri)
) strict, without rowid;

-- Tokens of disconnected accounts until the network has taken the authorization back, or can no longer be asked to.
create table revocations (
    id                blob primary key,
    account_id        blob not null,
    workspace_id      blob not null,
    network           text not null,
    server            text not null,
    native_id         text not null,
    access_token      blob not null,             -- sealed, as moved from the account
    refresh_token     blob,
    extra             blob,
    token_version     integer not null,
    tries             integer not null default 0,
    next_at           integer not null,
    give_up_at        integer not null
) strict, without rowid;

create index revocations_next on revocations (next_at);
