-- A database as schema 1 had it. Its key: dd02d978ebbe16ab870655e3919c6e09975b5e66a05f71d677365057b01958ee
BEGIN TRANSACTION;
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
CREATE TABLE journal (
    run_key integer not null,
    generation integer not null,
    seq integer not null,
    mac blob not null,
    body blob not null,
    primary key (run_key, generation, seq)
) strict, without rowid;
INSERT INTO "journal" VALUES(1,0,0,X'430887FB82ABE721465CE50ED1346CDA',X'0193CB41DAC320F6B5F180929F01A5717569636BA7717569636B2D31D92430316132323865332D306564612D373563372D623130312D363763366430623538643132D92430316132323865332D306564612D373563372D623130312D363763366430623538643132D92430316132323865332D306564612D373563372D623130312D36376336643062353864313291C4026D04809FA764656661756C74C0C0C0C0CB4024000000000000C0C400C400A081A3666F72C4056DA361646180B0616E206F6C6465722076657273696F6EC0C001C0A764656661756C74A09000910291962001A6646F75626C6591C4026D0480C0');
INSERT INTO "journal" VALUES(1,0,1,X'BA6050F34A0FA9901C7900ADB00609A5',X'0193CB41DAC320F6B6038391930401C4026D08919230C4026D08');
INSERT INTO "journal" VALUES(2,0,0,X'D5BD149B5F7FA1219CDE897BF6FEB3D3',X'0193CB41DAC320F6B61CC2929F01A770617469656E74A970617469656E742D31D92430316132323865332D306564642D376437342D383033632D343938376338666164383861D92430316132323865332D306564642D376437342D383033632D343938376338666164383861D92430316132323865332D306564642D376437342D383033632D34393837633866616438386191C4026D05809FA764656661756C74C0C0C0C0CB4024000000000000C0C400C400AA6F766572206E696768748080B0616E206F6C6465722076657273696F6EC0C001C0A764656661756C74A09000910291962001A6646F75626C6591C4026D0580C0');
INSERT INTO "journal" VALUES(2,0,1,X'E70201225738DC88FE223528FCE47270',X'0193CB41DAC320F6B62A9591930401C4026D0A91932102CB41DAC3247AB62A95');
INSERT INTO "journal" VALUES(2,0,2,X'B6ADC206013B7C9936266C003F05FA25',X'0193CB41DAC320F6B6374D919709A361646491C4026D0180A0B0616E206F6C6465722076657273696F6E8090');
CREATE TABLE meta (
    name text primary key,
    value text not null
) strict;
INSERT INTO "meta" VALUES('key_id','19df18b0721d5d80');
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
) strict;
INSERT INTO "runs" VALUES(1,'default','quick-1','01a228e3-0eda-75c7-b101-67c6d0b58d12','01a228e3-0eda-75c7-b101-67c6d0b58d12','01a228e3-0eda-75c7-b101-67c6d0b58d12',NULL,'quick','default','coroutine','',1,NULL,'',0,0,1,0,'','an older version',1.79598229884271836276e+09,1.79598229884396433831e+09,'',NULL,'',1);
INSERT INTO "runs" VALUES(2,'default','patient-1','01a228e3-0edd-7d74-803c-4987c8fad88a','01a228e3-0edd-7d74-803c-4987c8fad88a','01a228e3-0edd-7d74-803c-4987c8fad88a',NULL,'patient','default','coroutine','',0,1.79598589884634900096e+09,'',0,0,1,0,'over night','an older version',1.79598229884543275831e+09,NULL,'',NULL,'',1);
CREATE UNIQUE INDEX runs_open on runs (workspace, workflow_id) where status = 0;
CREATE INDEX runs_by_id on runs (workspace, workflow_id, key);
CREATE INDEX runs_due on runs (wake_at, key) where status = 0 and wake_at is not null;
CREATE INDEX runs_aside on runs (key) where status = 0 and aside <> '';
CREATE INDEX runs_children on runs (parent_key) where parent_key is not null;
CREATE INDEX runs_closed on runs (closed_at) where closed_at is not null;
CREATE INDEX requests_by_age on requests (at);
COMMIT;
pragma user_version = 1;
