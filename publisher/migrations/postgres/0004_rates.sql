-- How fast an account and our applications may go. All times are Unix milliseconds of this database's clock.

-- The ledger itself is counted, in every span of time: an attempt counts from its ARM until the span has passed since
-- it was closed, because its request may have reached the network as late as that. The expressions of this index are
-- those of ARM's statement.
create index attempts_counted on publish_attempts (account_id, coalesce(closed_at, send_deadline))
    where coalesce(outcome, '') <> 'not_sent';
create index attempts_closed on publish_attempts (closed_at) where closed_at is not null;
create index handles_created on handles (created_at);

-- The network asked for it: nothing of this account is armed before. (window_from and window_used are no longer read;
-- they go once no server of an earlier version can run.)
alter table account_leases add column blocked_until bigint not null default 0;

-- What our application may send to a server in a window, over all accounts: processes take blocks out of it.
create table app_permits (
    network     text not null,
    server      text not null,
    window_ms   bigint not null,
    window_from bigint not null,                 -- the window that `taken` counts
    taken       bigint not null,
    primary key (network, server, window_ms)
);
