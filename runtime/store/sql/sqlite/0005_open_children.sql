-- What opening looks for, whatever the number of runs that are closed.

-- runs_open_children: nobody asks for the closed ones.
drop index runs_children;
create index runs_open_children on runs (parent_key)
where status = 0 and parent_key is not null;
