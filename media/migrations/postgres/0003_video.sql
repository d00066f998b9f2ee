-- How long a video plays, milliseconds; 0 for pictures.
alter table media add column duration_ms bigint not null default 0;

-- Public addresses of renditions. Only a hash of the credential is kept. They outlive their item and their own end for
-- a while, because they tell how often they were read.
create table share (
    token_sha256 bytea primary key,
    workspace_id uuid not null,
    media_id uuid not null,
    content_type text not null,
    blob_key text not null,
    size_bytes bigint not null,
    create_time bigint not null,
    end_time bigint not null,
    revoke_time bigint,
    reads bigint not null default 0,
    last_read_time bigint
);

create index share_by_media on share (workspace_id, media_id);
create index share_by_end on share (end_time);

-- Copies may also have to be JPEG files, so what they are made for is one more part of their key.
alter table rendition add column only_jpeg boolean not null default false;
alter table rendition drop constraint rendition_pkey;
alter table rendition add primary key (workspace_id, media_id, max_bytes, max_pixels, only_jpeg);
