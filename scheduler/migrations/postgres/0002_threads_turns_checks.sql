-- Threads, fair claims, and checks of accounts ahead of the due time.

-- JSON list of the further parts: text and media.
alter table posts add column thread text not null default '[]';

-- Which part of the thread a target is; 0 for the post itself.
alter table targets add column thread_position bigint not null default 0;
-- The tenant, so that claims take turns between tenants. A replica of the version before writes none; its targets
-- share one turn.
alter table targets add column workspace_id uuid not null default '00000000-0000-0000-0000-000000000000';
-- The account is not checked (again) before this; null for never checked.
alter table targets add column check_after bigint;

update targets set workspace_id = posts.workspace_id from posts where posts.id = targets.post_id;

-- Who has something due, and how much: an index-only look.
create index targets_by_wake_and_workspace on targets (wake_at, workspace_id) where wake_at is not null;
drop index targets_by_wake;
-- The next ones of one tenant.
create index targets_of_workspace_by_wake on targets (workspace_id, wake_at, id) where wake_at is not null;
-- What is due soon, waits here, and was not checked lately.
create index targets_by_check on targets (due_at, check_after)
    where wake_at is not null and offered_at is null and recall is null;
