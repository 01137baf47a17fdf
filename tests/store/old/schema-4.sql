-- A database as schema 4 had it. Its key: 7257e69e981592fa325afbbd73b8c075f9ee95eb13f31ad809b31b5363b79a9f
BEGIN TRANSACTION;
CREATE TABLE attributes (
    run_key integer not null,
    name text not null,
    place integer not null,
    kind integer not null,
    value any not null,
    whole text,
    primary key (run_key, name, place)
) strict, without rowid;
CREATE TABLE blobs (
    run_key integer not null,
    digest blob not null,
    body blob not null,
    primary key (run_key, digest)
) strict;
CREATE TABLE checkpoints (
    run_key integer primary key,
    generation integer not null,
    seq integer not null,
    mac blob not null,
    body blob not null
) strict;
CREATE TABLE event_waits (
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
CREATE TABLE journal (
    run_key integer not null,
    generation integer not null,
    seq integer not null,
    mac blob not null,
    body blob not null,
    primary key (run_key, generation, seq)
) strict, without rowid;
INSERT INTO "journal" VALUES(1,0,0,X'5A62CA357F96BD4F3BAAFFF27F78FBB8',X'0193CB41DAC3211000000092DC001201A5717569636BA7717569636B2D31D92430316132323865342D396130302D373538332D386263632D656563303031323136303436D92430316132323865342D396130302D373538332D386263632D656563303031323136303436D92430316132323865342D396130302D373538332D386263632D65656330303132313630343691C4026D0480DC0010A764656661756C74C0C0C0C0CB4024000000000000C0C400C400A081A3666F72C4056DA361646180B0616E206F6C6465722076657273696F6EC0C0C001C0A764656661756C74A09000C0900092020191972001A6646F75626C6591C4026D0480C0C0');
INSERT INTO "journal" VALUES(1,0,1,X'6E0DD8FEC9B432848DF661713546E41C',X'0193CB41DAC3211000000091930401C4026D08919230C4026D08');
INSERT INTO "journal" VALUES(2,0,0,X'DFD008557705C6E9F047BFEBEC37B42A',X'0193CB41DAC3211000000092DC001201A770617469656E74A970617469656E742D31D92430316132323865342D396130302D373333352D626437342D666666323839316532333532D92430316132323865342D396130302D373333352D626437342D666666323839316532333532D92430316132323865342D396130302D373333352D626437342D66666632383931653233353291C4026D0580DC0010A764656661756C74C0C0C0C0CB4024000000000000C0C400C400A08080B0616E206F6C6465722076657273696F6EC0C0C001C0A764656661756C74A09000C0900092020191972001A6646F75626C6591C4026D0580C0C0');
INSERT INTO "journal" VALUES(2,0,1,X'C137263384F9B6DF0F358AAE168E33A3',X'0193CB41DAC3211000000091930401C4026D0A91932102CB41DAC32494000000');
INSERT INTO "journal" VALUES(2,0,2,X'4EB1C27AACB44678450EC7EC2974CE26',X'0193CB41DAC32110400000919709A361646491C4026D0180A56164642D31B0616E206F6C6465722076657273696F6E8090');
CREATE TABLE meta (
    name text primary key,
    value text not null
) strict;
INSERT INTO "meta" VALUES('key_id','c522440531c12b8e');
INSERT INTO "meta" VALUES('epoch','1');
INSERT INTO "meta" VALUES('clean','1');
CREATE TABLE requests (
    workspace text not null,
    request_id text not null,
    run_key integer not null,
    at real not null, what text not null default '', answer blob not null default x'',
    primary key (workspace, request_id)
) strict, without rowid;
INSERT INTO "requests" VALUES('default','add-1',2,1795982401.0,'["runs.signal","patient-1","add"]',X'');
INSERT INTO "requests" VALUES('default','push-1',0,1795982401.0,'["events.push","tick",""]',X'7B226576656E745F6964223A2230316132323865342D396465382D373162652D383266332D663531383635653064656631227D');
INSERT INTO "requests" VALUES('default','start-1',1,1795982400.0,'["runs.start","quick","quick-1",""]',X'7B22776F726B666C6F775F6964223A22717569636B2D31222C2272756E5F6964223A2230316132323865342D396130302D373538332D386263632D656563303031323136303436222C2266697273745F72756E5F6964223A2230316132323865342D396130302D373538332D386263632D656563303031323136303436222C2263726561746564223A747275652C226B6579223A307D');
CREATE TABLE runs (
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
, build_id text not null default '') strict;
INSERT INTO "runs" VALUES(1,'default','quick-1','01a228e4-9a00-7583-8bcc-eec001216046','01a228e4-9a00-7583-8bcc-eec001216046','01a228e4-9a00-7583-8bcc-eec001216046',NULL,'quick','default','coroutine','',1,NULL,'',0,0,1,0,'','an older version',1795982400.0,1795982400.0,'',NULL,'',1,'');
INSERT INTO "runs" VALUES(2,'default','patient-1','01a228e4-9a00-7335-bd74-fff2891e2352','01a228e4-9a00-7335-bd74-fff2891e2352','01a228e4-9a00-7335-bd74-fff2891e2352',NULL,'patient','default','coroutine','',0,1795986000.0,'',0,0,1,0,'','an older version',1795982400.0,NULL,'',NULL,'',1,'');
CREATE TABLE schedules (
    workspace text not null,
    id text not null,
    next_at real,
    running integer not null,
    body blob not null,
    primary key (workspace, id)
) strict, without rowid;
CREATE TABLE search_attributes (
    workspace text not null,
    name text not null,
    kind integer not null,
    primary key (workspace, name)
) strict, without rowid;
CREATE TABLE user_events (
    seq integer primary key,
    workspace text not null,
    id text not null,
    key text not null,
    scope text not null,
    payload blob not null,
    metadata blob not null,
    at real not null,
    open integer not null
, mac blob not null default x'') strict;
INSERT INTO "user_events" VALUES(1,'default','01a228e4-9de8-71be-82f3-f51865e0def1','tick','',X'7B226E223A317D',X'7B7D',1795982401.0,0,X'9BE16FEE9308904543164348FE1CEC97');
CREATE TABLE version_sets (
    workspace text not null,
    queue text not null,
    body blob not null,
    primary key (workspace, queue)
) strict, without rowid;
CREATE UNIQUE INDEX runs_open on runs (workspace, workflow_id) where status = 0;
CREATE INDEX runs_by_id on runs (workspace, workflow_id, key);
CREATE INDEX runs_due on runs (wake_at, key) where status = 0 and wake_at is not null;
CREATE INDEX runs_aside on runs (key) where status = 0 and aside <> '';
CREATE INDEX runs_children on runs (parent_key) where parent_key is not null;
CREATE INDEX runs_closed on runs (closed_at) where closed_at is not null;
CREATE INDEX requests_by_age on requests (at);
CREATE INDEX runs_listed
    on runs (workspace, status, closed_at, started_at, key, name, queue);
CREATE INDEX attributes_by_value on attributes (name, kind, value, run_key);
CREATE INDEX schedules_due on schedules (next_at) where next_at is not null;
CREATE INDEX schedules_running on schedules (workspace, id) where running > 0;
CREATE UNIQUE INDEX user_events_by_id on user_events (workspace, id);
CREATE INDEX user_events_by_key on user_events (workspace, key, scope, seq);
CREATE INDEX user_events_open on user_events (seq) where open = 1;
CREATE INDEX event_waits_by_key on event_waits (workspace, key, scope, run_key, call);
CREATE INDEX runs_by_build on runs (workspace, queue, build_id, status)
where build_id <> '';
COMMIT;
pragma user_version = 4;
