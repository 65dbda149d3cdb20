-- What the last build was made by.

-- name: last_build
-- What the last BuildOutbox noted, and the ids of the builds that came to their end last, for each call.
select
    (
        select argMax(params, completed_at)
        from {database:Identifier}.luigi_markers
        where task_family = 'BuildOutbox'
    ) as params,
    (
        select groupArray(last_id)
        from (
            select argMax(dbt_invocation_id, finished_at) as last_id
            from {database:Identifier}.segment_build_progress
            group by call
        )
    ) as finished

-- name: landing_columns
-- Of each landing table, in their order.
select table, name, type
from system.columns
where database = {database:String}
order by table, position

-- name: origin_of_database
-- Whose rows the last build read that noted it.
select argMax(origin, finished_at)
from {database:Identifier}.segment_build_progress
where origin != ''

-- name: origin_of_landing
-- Whose exports were loaded. As the macro origin_of_landing has it.
select distinct
    if(match(file, '(^|/)seeds/sample/[a-z_]+[.]csv$'), 'sample', 'shop') as origin
from {database:Identifier}.loads
