-- What cycle.py asks ClickHouse. A query begins with a line "-- name:"; the comment under it says what
-- it is for.

-- name: markers
-- When each task of a sync was done.
select task_family, max(completed_at)
from {database:Identifier}.luigi_markers
where completed_at >= {since:DateTime64(3, 'UTC')}
group by task_family
