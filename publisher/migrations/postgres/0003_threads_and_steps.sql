-- Threads: a part is sent only after the part before it is published. `thread_id` is the first part, or the target itself.
alter table deliveries add column thread_id uuid;
alter table deliveries add column previous_id uuid;
alter table deliveries add column position bigint not null default 0;
update deliveries set thread_id = target_id;
alter table deliveries alter column thread_id set not null;

drop index deliveries_line;
create index deliveries_line on deliveries (account_id, due_at, thread_id, position)
    where state in ('handed_over', 'preparing', 'prepared', 'sending', 'retry_wait', 'unknown');
create index deliveries_previous on deliveries (previous_id) where previous_id is not null;

-- Who armed an attempt, for the timeline.
alter table publish_attempts add column replica text not null default '';

-- The outbox is the timeline too: what tailers need not hear is not reported and gets no sequence.
alter table events add column kind text not null default 'moved'; -- moved, looked, confirmed
alter table events add column reports boolean not null default true;
alter table events add column attempt_n bigint not null default 0;
alter table events add column replica text not null default '';   -- which process took the step
alter table events add column detail text;
drop index events_unsequenced;
create index events_unsequenced on events (id) where sequence is null and reports;
create index events_of_target on events (target_id, id);
