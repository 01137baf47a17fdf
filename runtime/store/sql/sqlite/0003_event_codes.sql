-- User events carry an authentication code, as journal rows do.

-- mac: empty in those that an earlier version stored, until they are signed.
alter table user_events add column mac blob not null default x'';
