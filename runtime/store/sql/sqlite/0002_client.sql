-- What clients find runs by, agree on and are woken by.

-- Search attributes and what else lists are filtered by.

-- Schedules.

-- Events, and who waits for them.

-- Versions of code by queue.

-- Tasks that are completed from outside.
