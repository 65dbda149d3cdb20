-- Markers: which tasks are done.

-- name: create_markers
-- One row per finished task. The window lets a repeated insert be dropped.
create table if not exists {database:Identifier}.luigi_markers $on_cluster
(
    task_id String,
    task_family LowCardinality(String),
    params String,
    rows UInt64,
    completed_at DateTime64(3, 'UTC')
)
engine = ${replicated}ReplacingMergeTree(completed_at)
order by task_id
settings ${deduplication_window} = 1000

-- name: marker_exists
-- Presence is enough, so no FINAL: any row of the task that is young enough.
select 1
from {database:Identifier}.luigi_markers
where task_id = {task_id:String} and completed_at >= {not_before:DateTime64(3, 'UTC')}
limit 1

-- name: marker_params
-- What the latest marker of a task says about its work.
select params
from {database:Identifier}.luigi_markers
where task_id = {task_id:String} and completed_at >= {not_before:DateTime64(3, 'UTC')}
order by completed_at desc
limit 1

-- name: last_runs
-- The last sync that ended well and was no dry run, and the last that did not, by the way it failed.
select task_family, params, completed_at
from {database:Identifier}.luigi_markers
where task_id in {failures:Array(String)}
    or (task_family = 'ReportRun' and position(task_id, '/dry-run/') = 0)
order by completed_at desc
limit 1 by task_family
