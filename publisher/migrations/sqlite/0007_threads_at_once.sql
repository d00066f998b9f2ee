-- A thread in one request: the attempt of its first part takes the parts after it along. They have no attempt of their
-- own; until that one's outcome is known they are in doubt.
alter table deliveries add column rides_on blob;                  -- the nonce of the attempt that took it along
create index deliveries_riding on deliveries (rides_on) where rides_on is not null;

-- How many parts an attempt took along: each counts as a post of the account.
alter table publish_attempts add column riders integer not null default 0;
