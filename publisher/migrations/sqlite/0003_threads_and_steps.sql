-- Threads: a part is sent only after the part before it is published. `thread_id` is the first part, or the target itself.
alter table deliveries add column thread_id blob not null default x'';
alter table deliveries add column previous_id blob;
alter table deliveries add column position integer not null default 0;
update deliveries set thread_id = target_id;

drop index deliveries_line;
create index deliveries_line on deliveries (account_id, due_at, thread_id, position)
    where state in ('handed_over', 'preparing', 'prepared', 'sending', 'retry_wait', 'unknown');
create index deliveries_previous on deliveries (previous_id) where previous_id is not null;

-- Who armed an attempt, for the timeline.
alter table publish_attempts add column replica text not null default '';

-- The outbox is the timeline too: what tailers need not hear is not reported.
alter table events add column kind text not null default 'moved'; -- moved, looked, confirmed
alter table events add column reports integer not null default 1;
alter table events add column attempt_n integer not null default 0;
alter table events add column replica text not null default '';   -- which process took the step
alter table events add column detail text;
create index events_reported on events (sequence) where reports;
create index events_of_target on events (target_id, sequence);
