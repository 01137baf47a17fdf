-- name: insert_run
insert into runs (
    key, workspace, workflow_id, run_id, first_run_id, root_run_id, parent_key, name,
    queue, kind, code, status, wake_at, aside, generation, inbox_seq, attempt,
    priority, run_name, identity, started_at, closed_at, next_run_id,
    execution_deadline, owner, epoch, build_id
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: change_run
with given (
    key, status, wake_at, aside, generation, inbox_seq, run_name, closed_at, next_run_id,
    kind
) as (values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
update runs set
    status = given.status, wake_at = given.wake_at, aside = given.aside,
    generation = given.generation, inbox_seq = given.inbox_seq,
    run_name = given.run_name, closed_at = given.closed_at,
    next_run_id = given.next_run_id, kind = given.kind
from given where runs.key = given.key

-- name: require_free
/* breaks a constraint if the ID of a run that begins and ends at once is that of an
   open one of another chain */
insert into meta (name, value)
with given (workspace, workflow_id, first_run_id) as (values (?, ?, ?))
select 'taken', null from given cross join runs
where runs.workspace = given.workspace and runs.workflow_id = given.workflow_id
    and runs.status = 0 and runs.first_run_id <> given.first_run_id

-- name: wake_run
update runs set wake_at = 0 where key = ? and status = 0

-- name: insert_row
insert into journal (run_key, generation, seq, mac, body) values (?, ?, ?, ?, ?)

-- name: put_checkpoint
insert into checkpoints (run_key, generation, seq, mac, body) values (?, ?, ?, ?, ?)
on conflict (run_key) do update set
    generation = excluded.generation, seq = excluded.seq, mac = excluded.mac,
    body = excluded.body

-- name: drop_generations
delete from journal where run_key = ? and generation < ?

-- name: drop_old_checkpoint
delete from checkpoints where run_key = ? and generation < ?

-- name: insert_request
/* one that is remembered stays, unless it is from before the last parameter */
insert into requests (workspace, request_id, run_key, at, what, answer)
values (?, ?, ?, ?, ?, ?)
on conflict (workspace, request_id) do update set
    run_key = excluded.run_key, at = excluded.at, what = excluded.what,
    answer = excluded.answer
where requests.at <= ?

-- name: run_by_key
select * from runs where key = ?

-- name: run_by_run_id
select * from runs where workspace = ? and workflow_id = ? and run_id = ?

-- name: latest_run
select * from runs where workspace = ? and workflow_id = ?
order by status = 0 desc, key desc limit 1

-- name: latest_of_chain
select * from runs where workspace = ? and workflow_id = ? and first_run_id = ?
order by status = 0 desc, key desc limit 1

-- name: checkpoint
select run_key, generation, seq, mac, body from checkpoints where run_key = ?

-- name: rows_after
select run_key, generation, seq, mac, body from journal
where run_key = ? and generation = ? and seq > ? order by seq

-- name: checkpoints
/* those of a JSON list of keys */
select run_key, generation, seq, mac, body from checkpoints
where run_key in (select value from json_each(?))

-- name: journals
/* all rows of the present generations of a JSON list of keys, in their order */
select journal.run_key, journal.generation, journal.seq, journal.mac, journal.body
from json_each(?) as wanted
cross join runs on runs.key = wanted.value
cross join journal on journal.run_key = runs.key
    and journal.generation = runs.generation
order by wanted.key, journal.seq

-- name: last_row
select run_key, generation, seq, mac, body from journal
where run_key = ? and generation = ? order by seq desc limit 1

-- name: history
select run_key, generation, seq, mac, body from journal
where run_key = ? and (generation, seq) > (?, ?)
order by generation, seq limit ?

-- name: due
select wake_at, key from runs
where status = 0 and wake_at is not null
    and (wake_at, key) > (?, ?) and wake_at <= ?
order by wake_at, key limit ?

-- name: next_due
select wake_at from runs
where status = 0 and wake_at is not null and wake_at > ?
order by wake_at limit 1

-- name: aside
select key from runs where status = 0 and aside <> '' order by key

-- name: orphans
/* along the open children: by itself SQLite would go through all runs by their keys */
select child.key from runs as child indexed by runs_open_children
join runs as parent on child.parent_key = parent.key
where child.status = 0 and child.parent_key is not null and parent.status <> 0
order by child.key

-- name: request
select run_key, at, what, answer from requests
where workspace = ? and request_id = ?

-- name: count_open
select count(*) from runs where status = 0

-- name: history_length
select count(*) from journal where run_key = ?

-- name: runs_by_keys
/* in the order of the JSON list of keys */
select runs.* from json_each(?) as wanted join runs on runs.key = wanted.value
order by wanted.key

-- name: first_rows
select journal.* from json_each(?) as wanted
join runs on runs.key = wanted.value
join journal on journal.run_key = runs.key
    and journal.generation = runs.generation and journal.seq = 0

-- name: history_lengths
select wanted.value, (select count(*) from journal where run_key = wanted.value)
from json_each(?) as wanted

-- name: attributes_of_runs
select run_key, name, kind, value, whole from attributes
where run_key in (select value from json_each(?)) and name not like '#%'
order by run_key, name, place

-- name: memos_of_runs
select run_key, substr(name, 7), whole from attributes
where run_key in (select value from json_each(?)) and name like '#memo.%'

-- name: put_attribute
insert into attributes (run_key, name, place, kind, value, whole)
values (?, ?, ?, ?, ?, ?)

-- name: drop_attribute
delete from attributes where run_key = ? and name = ?

-- name: delete_attributes
delete from attributes where run_key = ?

-- name: declared_attributes
select name, kind from search_attributes where workspace = ? order by name

-- name: declare_attribute
insert or ignore into search_attributes (workspace, name, kind) values (?, ?, ?)

-- name: undeclare_attribute
delete from search_attributes where workspace = ? and name = ?

-- name: retired
select key from runs as run
where closed_at is not null and closed_at < :before
    and not exists (
        select 1 from runs as parent
        where parent.key = run.parent_key and parent.status = 0
    )
    and not exists (
        select 1 from runs as later
        where later.workspace = run.workspace and later.workflow_id = run.workflow_id
            and later.first_run_id = run.first_run_id and later.status = 0
    )
order by closed_at limit :limit

-- name: delete_run
delete from runs where key = ?

-- name: delete_journal
delete from journal where run_key = ?

-- name: delete_checkpoint
delete from checkpoints where run_key = ?

-- name: delete_blobs
delete from blobs where run_key = ?

-- name: delete_requests
delete from requests where (workspace, request_id) in
    (select workspace, request_id from requests where at < ? order by at limit ?)

-- name: bind_run
update runs set build_id = ? where key = ?

-- name: version_sets
select workspace, queue, body from version_sets

-- name: put_version_sets
insert into version_sets (workspace, queue, body) values (?, ?, ?)
on conflict (workspace, queue) do update set body = excluded.body

-- name: bound_runs
/* whether there are open runs that are bound to a build, and whether closed ones */
with wanted (place, line, build) as (values (?, ?, ?))
select
    exists (
        select 1 from wanted cross join runs
        where workspace = place and queue = line and build_id = build and build_id <> ''
            and status = 0
    ),
    exists (
        select 1 from wanted cross join runs
        where workspace = place and queue = line and build_id = build and build_id <> ''
            and status <> 0
    )

-- name: unbound_runs
with wanted (place, line) as (values (?, ?))
select
    exists (
        select 1 from wanted cross join runs
        where workspace = place and queue = line and build_id = '' and status = 0
    ),
    exists (
        select 1 from wanted cross join runs
        where workspace = place and queue = line and build_id = '' and status <> 0
    )

-- name: last_key
select coalesce(max(key), 0) from runs

-- name: get_meta
select value from meta where name = ?

-- name: put_meta
insert into meta (name, value) values (?, ?)
on conflict (name) do update set value = excluded.value

-- name: fence
/* breaks a constraint, and so its transaction, if the epoch is another engine's */
insert into meta (name, value)
select 'epoch', null where not exists (
    select 1 from meta where name = 'epoch' and value = ?
)

-- name: inbox_at
select 1 from runs where key = ? and inbox_seq = ?

-- name: schedule_is
select 1 from schedules where workspace = ? and id = ? and body = ?

-- name: schedule_is_free
select 1 where not exists (select 1 from schedules where workspace = ? and id = ?)

-- name: put_schedule
insert into schedules (workspace, id, next_at, running, body) values (?, ?, ?, ?, ?)
on conflict (workspace, id) do update set
    next_at = excluded.next_at, running = excluded.running, body = excluded.body

-- name: delete_schedule
delete from schedules where workspace = ? and id = ?

-- name: schedule
select body from schedules where workspace = ? and id = ?

-- name: schedules
select id, body from schedules where workspace = ? and id > ? order by id limit ?

-- name: running_schedules
select workspace, id from schedules where running > 0 order by workspace, id

-- name: due_schedules
select workspace, id from schedules where next_at <= ? order by next_at limit ?

-- name: next_schedule
select min(next_at) from schedules where next_at > ?

-- name: insert_event
insert into user_events
    (seq, workspace, id, key, scope, payload, metadata, at, mac, open)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: sign_event
update user_events set mac = ? where seq = ?

-- name: unsigned_events
select seq, workspace, id, key, scope, payload, metadata, at, mac from user_events
where mac = x'' and seq > ? order by seq limit ?

-- name: close_event
update user_events set open = 0 where seq = ?

-- name: last_event
select max(
    coalesce((select max(seq) from user_events), 0),
    coalesce((select max(after) from event_waits), 0)
)

-- name: event
select seq, workspace, id, key, scope, payload, metadata, at, mac from user_events
where workspace = ? and id = ?

-- name: open_events
select seq, workspace, id, key, scope, payload, metadata, at, mac from user_events
where open = 1 order by seq

-- name: events_since
select seq, workspace, id, key, scope, payload, metadata, at, mac from user_events
where workspace = ? and key = ? and scope = ? and at >= ? and seq > ?
order by seq limit ?

-- name: list_events
select seq, workspace, id, key, scope, payload, metadata, at, mac from user_events
where workspace = ? and seq < ? and key = coalesce(?, key)
    and scope = coalesce(?, scope)
order by seq desc limit ?

-- name: open_wait
insert into event_waits (run_key, call, workspace, key, scope, filter, since, after)
values (?, ?, ?, ?, ?, ?, ?, ?)

-- name: close_wait
delete from event_waits where run_key = ? and call = ?

-- name: close_waits
delete from event_waits where run_key = ?

-- name: waits_for
select run_key, call, filter from event_waits
where workspace = ? and key = ? and scope = ? and after < ?
    and (run_key, call) > (?, ?)
order by run_key, call limit ?

-- name: waits_looking_back
select run_key, call from event_waits as wait
where since is not null and exists (
    select 1 from user_events as event
    where event.workspace = wait.workspace and event.key = wait.key
        and event.scope = wait.scope and event.at >= wait.since
)
order by run_key, call

-- name: delete_events
/* of the oldest ones, those that are old enough and have reached everybody */
delete from user_events
where at < ? and not open and seq in (select seq from user_events order by seq limit ?)
