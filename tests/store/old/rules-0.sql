-- A database of rules 0, as schema 2 had it. Its key: f7c63554c7063210916eaec5a12f11e40fe0cfecab9078d6a14903123a16c16c
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
INSERT INTO "attributes" VALUES(4,'#execution_time',0,6,1795986000.0,NULL);
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
INSERT INTO "journal" VALUES(1,0,0,X'BA2F9E135AFCC7EF2FE39DA2B21D1526',X'0193CB41DAC3211000000092DC001101A54469617279A56469617279D92430316132323865342D396130302D376666622D626636662D376638353738343961626263D92430316132323865342D396130302D376666622D626636662D376638353738343961626263D92430316132323865342D396130302D376666622D626636662D3766383537383439616262639080DC0010A764656661756C74C0C0C0C0CB4024000000000000C0C400C400A08080B6657665726163742D302E312E302D323630363740766DC0C0C001C0A764656661756C74A0919709A5777269746591C4086DA67369676E616C80A0B6657665726163742D302E312E302D323630363740766D8000C090910292972001A47374657091C4066DA4636F646580C0C0972002A47374657091C4086DA67369676E616C80C0C0');
INSERT INTO "journal" VALUES(1,0,1,X'6FCE7E7D35E04FEE2FB119E225855B82',X'0193CB41DAC3211000000091930401C4066DA4636F646590');
INSERT INTO "journal" VALUES(1,0,2,X'16C8184381B13FE2862BDB0B13B65284',X'0193CB41DAC3211000000091930402C4086DA67369676E616C90');
INSERT INTO "journal" VALUES(2,0,0,X'5E6FAB205F8FB9CF6134E17CA1F4C42F',X'0193CB41DAC3211000000092DC001101A6506172656E74A6706172656E74D92430316132323865342D396130302D373166382D386136612D653065323566316264353164D92430316132323865342D396130302D373166382D386136612D653065323566316264353164D92430316132323865342D396130302D373166382D386136612D6530653235663162643531649080DC0010A764656661756C74C0C0C0C0CB4024000000000000C0C400C400A08080B6657665726163742D302E312E302D323630363740766DC0C0C001C0A764656661756C74A09000C090910292932101CB41DAC321114000009A2202AB736C6F775F746F5F656E64A56368696C64D92437646532376263652D653338652D353533662D396138302D3632616533356164623363319080DC0010A764656661756C74C0C0C0C0CB4024000000000000C0C400C400A08080A0C0C0C000C2');
INSERT INTO "journal" VALUES(2,0,1,X'D2C782428302A954F575A0B7399E9683',X'0193CB41DAC321114000009192080192922502972003A47374657091C40A6DA8676976656E20757080C0C0');
INSERT INTO "journal" VALUES(2,0,2,X'479821193EFFCC7F28462F28DA29EB03',X'0193CB41DAC3211140000091930403C40A6DA8676976656E20757090');
INSERT INTO "journal" VALUES(3,0,0,X'3628AB171156211CA1BD192237ADBDB1',X'0193CB41DAC3211000000092DC001101AB736C6F775F746F5F656E64A56368696C64D92437646532376263652D653338652D353533662D396138302D363261653335616462336331D92437646532376263652D653338652D353533662D396138302D363261653335616462336331D92430316132323865342D396130302D373166382D386136612D6530653235663162643531649080DC0010A764656661756C74C0C0C0C0CB4024000000000000C0C400C400A08080A0C0C0C0019602D92430316132323865342D396130302D373166382D386136612D653065323566316264353164A6706172656E74000200A764656661756C74A09000C090910291932101CB41DAC6F1A0000000');
INSERT INTO "journal" VALUES(3,0,1,X'F7CA3299D09FC302639856D9D7603D03',X'0193CB41DAC3211140000091940AB569747320706172656E742067617665206974207570A0A092922501932102CB41DAC32120400000');
INSERT INTO "journal" VALUES(4,0,0,X'54F1209179637D7403A65D79B618EB23',X'0193CB41DAC3211000000091DC001101A54469617279A777616974696E67D92430316132323865342D396130302D373264392D383938342D666339396162613339373530D92430316132323865342D396130302D373264392D383938342D666339396162613339373530D92430316132323865342D396130302D373264392D383938342D6663393961626133393735309080DC0010A764656661756C74C0C0C0C0CB4024000000000000CB41DAC32494000000C400C400A08080B6657665726163742D302E312E302D323630363740766DC0C0C001C0A764656661756C74A0919709A5777269746591C4086DA67369676E616C80A0B6657665726163742D302E312E302D323630363740766D8000C09090');
CREATE TABLE meta (
    name text primary key,
    value text not null
) strict;
INSERT INTO "meta" VALUES('key_id','602a470711c562ab');
INSERT INTO "meta" VALUES('epoch','1');
INSERT INTO "meta" VALUES('clean','1');
CREATE TABLE requests (
    workspace text not null,
    request_id text not null,
    run_key integer not null,
    at real not null,
    primary key (workspace, request_id)
) strict, without rowid;
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
INSERT INTO "runs" VALUES(1,'default','diary','01a228e4-9a00-7ffb-bf6f-7f857849abbc','01a228e4-9a00-7ffb-bf6f-7f857849abbc','01a228e4-9a00-7ffb-bf6f-7f857849abbc',NULL,'Diary','default','coroutine','',0,NULL,'',0,0,1,0,'','everact-0.1.0-26067@vm',1795982400.0,NULL,'',NULL,'',1,'');
INSERT INTO "runs" VALUES(2,'default','parent','01a228e4-9a00-71f8-8a6a-e0e25f1bd51d','01a228e4-9a00-71f8-8a6a-e0e25f1bd51d','01a228e4-9a00-71f8-8a6a-e0e25f1bd51d',NULL,'Parent','default','coroutine','',0,NULL,'',0,0,1,0,'','everact-0.1.0-26067@vm',1795982400.0,NULL,'',NULL,'',1,'');
INSERT INTO "runs" VALUES(3,'default','child','7de27bce-e38e-553f-9a80-62ae35adb3c1','7de27bce-e38e-553f-9a80-62ae35adb3c1','01a228e4-9a00-71f8-8a6a-e0e25f1bd51d',2,'slow_to_end','default','coroutine','',0,1795982465.0,'',0,0,1,0,'','',1795982400.0,NULL,'',NULL,'',1,'');
INSERT INTO "runs" VALUES(4,'default','waiting','01a228e4-9a00-72d9-8984-fc99aba39750','01a228e4-9a00-72d9-8984-fc99aba39750','01a228e4-9a00-72d9-8984-fc99aba39750',NULL,'Diary','default','coroutine','',0,1795986000.0,'',0,0,1,0,'','everact-0.1.0-26067@vm',1795982400.0,NULL,'',NULL,'',1,'');
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
) strict;
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
pragma user_version = 2;
