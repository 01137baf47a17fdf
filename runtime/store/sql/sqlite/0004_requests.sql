-- What a request ID names.
--
-- what: the operation and its target as a JSON list; answer: what it was answered, as
-- JSON. Both are empty in rows of earlier versions.
alter table requests add column what text not null default '';
alter table requests add column answer blob not null default x'';
