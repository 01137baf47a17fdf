-- What a request ID names.
--
-- what: the operation and its target as a JSON list; digest: of the rest that was asked;
-- answer: what it was answered, as JSON. Empty in rows of earlier versions.
alter table requests add column what text not null default '';
alter table requests add column digest blob not null default x'';
alter table requests add column answer blob not null default x'';
