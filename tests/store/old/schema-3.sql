-- A database as schema 3 had it. Its key: 1c0401148e0fc5f2b8b4382635d3223a33e5b2c5549a4c414d21b376b2b0165d
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
INSERT INTO "journal" VALUES(1,0,0,X'7C4F54F1E1DC738FD2AFA38D8383D9F6',X'0193CB41DAC3211000000092DC001101A5717569636BA7717569636B2D31D92430316132323865342D396130302D376336302D613061652D663939353064613030326336D92430316132323865342D396130302D376336302D613061652D663939353064613030326336D92430316132323865342D396130302D376336302D613061652D66393935306461303032633691C4026D0480DC0010A764656661756C74C0C0C0C0CB4024000000000000C0C400C400A081A3666F72C4056DA361646180B0616E206F6C6465722076657273696F6EC0C0C001C0A764656661756C74A09000C090910291972001A6646F75626C6591C4026D0480C0C0');
INSERT INTO "journal" VALUES(1,0,1,X'FE911E99B11AD3FF3792E717811518F8',X'0193CB41DAC3211000000091930401C4026D08919230C4026D08');
INSERT INTO "journal" VALUES(2,0,0,X'4543849FC18D2DA16EDED15A547D8FC8',X'0193CB41DAC3211000000092DC001101A770617469656E74A970617469656E742D31D92430316132323865342D396130302D373238362D386663352D646464363066636534383836D92430316132323865342D396130302D373238362D386663352D646464363066636534383836D92430316132323865342D396130302D373238362D386663352D64646436306663653438383691C4026D0580DC0010A764656661756C74C0C0C0C0CB4024000000000000C0C400C400AA6F766572206E696768748080B0616E206F6C6465722076657273696F6EC0C0C001C0A764656661756C74A09000C090910291972001A6646F75626C6591C4026D0580C0C0');
INSERT INTO "journal" VALUES(2,0,1,X'1103BCDC00407696FB4F96BCD19B454B',X'0193CB41DAC3211000000091930401C4026D0A91932102CB41DAC32494000000');
INSERT INTO "journal" VALUES(2,0,2,X'91B277DEA9EF9E06B7875AC29C6BF404',X'0193CB41DAC32110400000919709A361646491C4026D0180A56164642D31B0616E206F6C6465722076657273696F6E8090');
CREATE TABLE meta (
    name text primary key,
    value text not null
) strict;
INSERT INTO "meta" VALUES('key_id','e0f7f6c1a0a0515d');
INSERT INTO "meta" VALUES('epoch','1');
INSERT INTO "meta" VALUES('clean','1');
CREATE TABLE requests (
    workspace text not null,
    request_id text not null,
    run_key integer not null,
    at real not null,
    primary key (workspace, request_id)
) strict, without rowid;
INSERT INTO "requests" VALUES('default','add-1',2,1795982401.0);
INSERT INTO "requests" VALUES('default','push-1',0,1795982401.0);
INSERT INTO "requests" VALUES('default','start-1',1,1795982400.0);
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
INSERT INTO "runs" VALUES(1,'default','quick-1','01a228e4-9a00-7c60-a0ae-f9950da002c6','01a228e4-9a00-7c60-a0ae-f9950da002c6','01a228e4-9a00-7c60-a0ae-f9950da002c6',NULL,'quick','default','coroutine','',1,NULL,'',0,0,1,0,'','an older version',1795982400.0,1795982400.0,'',NULL,'',1,'');
INSERT INTO "runs" VALUES(2,'default','patient-1','01a228e4-9a00-7286-8fc5-ddd60fce4886','01a228e4-9a00-7286-8fc5-ddd60fce4886','01a228e4-9a00-7286-8fc5-ddd60fce4886',NULL,'patient','default','coroutine','',0,1795986000.0,'',0,0,1,0,'over night','an older version',1795982400.0,NULL,'',NULL,'',1,'');
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
INSERT INTO "user_events" VALUES(1,'default','f6e3dea6-2a6c-54d3-aabf-76ab5b0bf15e','tick','',X'7B226E223A317D',X'7B7D',1795982401.0,0,X'0770C7AB895C1689B2A57E866E58E452');
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
pragma user_version = 3;
