-- What clients find runs by, agree on and are woken by.

-- Search attributes and what else lists are filtered by.

-- Schedules. schedules: one row each, changed whole. next_at is when it has something
-- to do, null for never; running is how many runs of its it waits for.
create table schedules (
    workspace text not null,
    id text not null,
    next_at real,
    running integer not null,
    body blob not null,
    primary key (workspace, id)
) strict, without rowid;
create index schedules_due on schedules (next_at) where next_at is not null;
create index schedules_running on schedules (workspace, id) where running > 0;

-- Events, and who waits for them.

-- Versions of code by queue.

-- Tasks that are completed from outside.
