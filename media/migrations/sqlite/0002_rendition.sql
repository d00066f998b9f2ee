-- Smaller copies of items, each made once for what one receiver takes. A limit of 0 is none. The foreign key keeps an
-- item from going while a copy's blob would be forgotten with it.
create table rendition (
    workspace_id blob not null,
    media_id blob not null,
    max_bytes integer not null,
    max_pixels integer not null,
    content_type text not null,
    width integer not null,
    height integer not null,
    blob_key text not null,
    size_bytes integer not null,
    create_time integer not null,
    primary key (workspace_id, media_id, max_bytes, max_pixels),
    foreign key (workspace_id, media_id) references media (workspace_id, id)
) strict;
