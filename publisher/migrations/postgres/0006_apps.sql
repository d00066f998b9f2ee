-- A workspace's own applications at networks. The secret opens only for its workspace and network.
create table apps (
    workspace_id  uuid not null,
    network       text not null,
    client_id     text not null,
    client_secret bytea not null,                -- sealed
    updated_at    bigint not null,
    primary key (workspace_id, network)
);
