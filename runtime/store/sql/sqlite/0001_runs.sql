-- Runs, their journals and checkpoints.
--
-- runs: one row a run, everything that is searched or waited for. status 0 is open.
-- wake_at: 0 means load at the next start, a moment means load by then, null means
-- that only a message moves the run.
create table runs (
    key integer primary key,
    workspace text not null,
    workflow_id text not null,
    run_id text not null,
    first_run_id text not null,
    root_run_id text not null,
    parent_key integer,
    name text not null,
    queue text not null,
    kind text not null,
    code text not null,
    status integer not null,
    wake_at real,
    aside text not null,
    generation integer not null,
    inbox_seq integer not null,
    attempt integer not null,
    priority integer not null,
    run_name text not null,
    identity text not null,
    started_at real not null,
    closed_at real,
    next_run_id text not null,
    execution_deadline real,
    owner text not null,
    epoch integer not null
) strict;

-- At most one open run of an ID in a workspace.
create unique index runs_open on runs (workspace, workflow_id) where status = 0;
create index runs_by_id on runs (workspace, workflow_id, key);
create index runs_due on runs (wake_at, key) where status = 0 and wake_at is not null;
create index runs_aside on runs (key) where status = 0 and aside <> '';
create index runs_children on runs (parent_key) where parent_key is not null;
create index runs_closed on runs (closed_at) where closed_at is not null;

-- journal: one row a transition, appended, never changed.
create table journal (
    run_key integer not null,
    generation integer not null,
    seq integer not null,
    mac blob not null,
    body blob not null,
    primary key (run_key, generation, seq)
) strict, without rowid;

-- checkpoints: the last one of a run.
create table checkpoints (
    run_key integer primary key,
    generation integer not null,
    seq integer not null,
    mac blob not null,
    body blob not null
) strict;

-- requests: which request IDs were served, kept 24 hours.
create table requests (
    workspace text not null,
    request_id text not null,
    run_key integer not null,
    at real not null,
    primary key (workspace, request_id)
) strict, without rowid;
create index requests_by_age on requests (at);

-- blobs: large values, in the transaction of the transition that holds them.
create table blobs (
    run_key integer not null,
    digest blob not null,
    body blob not null,
    primary key (run_key, digest)
) strict;

create table meta (
    name text primary key,
    value text not null
) strict;
