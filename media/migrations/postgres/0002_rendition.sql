-- Smaller copies of items, each made once for what one receiver takes. A limit of 0 is none. The foreign key keeps an
-- item from going while a copy's blob would be forgotten with it.
create table rendition (
    workspace_id uuid not null,
    media_id uuid not null,
    max_bytes bigint not null,
    max_pixels bigint not null,
    content_type text not null,
    width bigint not null,
    height bigint not null,
    blob_key text not null,
    size_bytes bigint not null,
    create_time bigint not null,
    primary key (workspace_id, media_id, max_bytes, max_pixels),
    foreign key (workspace_id, media_id) references media (workspace_id, id)
);
