-- What clients find runs by, agree on and are woken by.

-- Search attributes and what else lists are filtered by.
--
-- runs_listed: the order of lists, status by status, and what they are filtered and
-- counted by most; a condition on any of these is decided without a look at the row.
create index runs_listed
    on runs (workspace, status, closed_at, started_at, key, name, queue);

-- search_attributes: the declared keys of a workspace and their kinds.
create table search_attributes (
    workspace text not null,
    name text not null,
    kind integer not null,
    primary key (workspace, name)
) strict, without rowid;

-- attributes: one row an attribute of a run; of a list one an element, of a text one a
-- word, the whole text being beside the first. Names of our own begin with a #.
create table attributes (
    run_key integer not null,
    name text not null,
    place integer not null,
    kind integer not null,
    value any not null,
    whole text,
    primary key (run_key, name, place)
) strict, without rowid;
create index attributes_by_value on attributes (name, kind, value, run_key);

-- Schedules.

-- Events, and who waits for them.

-- Versions of code by queue.

-- Tasks that are completed from outside.
