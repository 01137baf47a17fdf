-- What clients find runs by, agree on and are woken by.

-- Search attributes and what else lists are filtered by.

-- Schedules.

-- Events, and who waits for them.

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
