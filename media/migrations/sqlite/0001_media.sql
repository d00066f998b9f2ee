-- Files that were announced. Kept for a day: completing one again, or asking for it again with the same request id,
-- answers the same.
create table upload (
    id blob primary key,
    workspace_id blob not null,
    request_id blob not null,
    filename text not null,
    size_bytes integer not null,
    alt_text text not null,
    blob_key text not null,
    create_time integer not null,
    complete_time integer,
    unique (workspace_id, request_id)
) strict;

create index upload_by_age on upload (create_time);

-- The library. An item has the id of its upload; its blob is the rendition, without metadata.
create table media (
    workspace_id blob not null,
    id blob not null,
    filename text not null,
    content_type text not null,
    size_bytes integer not null,
    width integer not null,
    height integer not null,
    alt_text text not null,
    sha256 blob not null,
    rendition_key text not null,
    rendition_bytes integer not null,
    create_time integer not null,
    primary key (workspace_id, id)
) strict;

create index media_newest on media (workspace_id, create_time, id);

-- Which posts need which items. The key holds both together, so a hold never crosses workspaces, and an item that
-- is held cannot be deleted.
create table hold (
    workspace_id blob not null,
    owner_id blob not null,
    media_id blob not null,
    primary key (workspace_id, owner_id, media_id),
    foreign key (workspace_id, media_id) references media (workspace_id, id)
) strict;

create index hold_by_media on hold (workspace_id, media_id);

-- Blobs that no media item needs (yet). A key is written here before its blob is, and leaves when an item takes the
-- blob over, so no crash leaves a blob that nobody knows of. The sweeper removes what is due.
create table loose_blob (
    key text primary key,
    not_before integer not null,
    taken integer not null default 0
) strict;

create index loose_blob_due on loose_blob (not_before);
