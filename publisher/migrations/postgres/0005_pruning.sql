-- Old events are found by their time, to be deleted.
create index events_happened on events (happened_at);
