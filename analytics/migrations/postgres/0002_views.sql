-- How often a post was seen, where its network tells.
alter table targets add column views bigint not null default 0;
alter table snapshots add column views bigint not null default 0;
