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
--
-- user_events: seq is their order. payload and metadata are JSON, no scope is ''. open:
-- some who wait may not have got it yet.
create table user_events (
    seq integer primary key,
    workspace text not null,
    id text not null,
    key text not null,
    scope text not null,
    payload blob not null,
    metadata blob not null,
    at real not null,
    open integer not null
) strict;
create unique index user_events_by_id on user_events (workspace, id);
create index user_events_by_key on user_events (workspace, key, scope, seq);
create index user_events_open on user_events (seq) where open = 1;

-- event_waits: the open waits of runs, for events after `after` of one scope or, if it
-- is '', of any. since: the moment back to which earlier ones count.
create table event_waits (
    run_key integer not null,
    call integer not null,
    workspace text not null,
    key text not null,
    scope text not null,
    filter text not null,
    since real,
    after integer not null,
    primary key (run_key, call)
) strict, without rowid;
create index event_waits_by_key on event_waits (workspace, key, scope, run_key, call);

-- Versions of code by queue.
-- build_id: the build that a run was bound to when it first began, on a queue with sets.
alter table runs add column build_id text not null default '';
create index runs_by_build on runs (workspace, queue, build_id, status)
where build_id <> '';

-- version_sets: the ordered sets of compatible build IDs of a queue, as MessagePack.
create table version_sets (
    workspace text not null,
    queue text not null,
    body blob not null,
    primary key (workspace, queue)
) strict, without rowid;

-- Tasks that are completed from outside.
