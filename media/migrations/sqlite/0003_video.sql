-- How long a video plays, milliseconds; 0 for pictures.
alter table media add column duration_ms integer not null default 0;

-- Public addresses of renditions. Only a hash of the credential is kept. They outlive their item and their own end for
-- a while, because they tell how often they were read.
create table share (
    token_sha256 blob primary key,
    workspace_id blob not null,
    media_id blob not null,
    content_type text not null,
    blob_key text not null,
    size_bytes integer not null,
    create_time integer not null,
    end_time integer not null,
    revoke_time integer,
    reads integer not null default 0,
    last_read_time integer
) strict;

create index share_by_media on share (workspace_id, media_id);
create index share_by_end on share (end_time);

-- Copies may also have to be JPEG files, so what they are made for is one more part of their key.
create table rendition_made_for (
    workspace_id blob not null,
    media_id blob not null,
    max_bytes integer not null,
    max_pixels integer not null,
    only_jpeg integer not null default 0,
    content_type text not null,
    width integer not null,
    height integer not null,
    blob_key text not null,
    size_bytes integer not null,
    create_time integer not null,
    primary key (workspace_id, media_id, max_bytes, max_pixels, only_jpeg),
    foreign key (workspace_id, media_id) references media (workspace_id, id)
) strict;

insert into rendition_made_for (workspace_id, media_id, max_bytes, max_pixels, content_type, width, height, blob_key,
                                size_bytes, create_time)
select workspace_id, media_id, max_bytes, max_pixels, content_type, width, height, blob_key, size_bytes, create_time
from rendition;

drop table rendition;
alter table rendition_made_for rename to rendition;
