-- What benchmarks ask ClickHouse about itself. A query begins with a line "-- name:"; the comment
-- under it says what it is for.

-- name: now
-- The server's clock, which query_log uses.
select now64(6, 'UTC')

-- name: cost_of_queries
-- Number of the finished queries of a time, the rows that they read, and the largest memory in MB.
-- Not the settings, 1,900 rows, that each client of clickhouse-connect reads when it is opened.
select count(), sum(read_rows), max(memory_usage) / 1048576
from system.query_log
where type = 'QueryFinish' and is_initial_query
    and query_start_time_microseconds >= {since:DateTime64(6, 'UTC')}
    and query_start_time_microseconds < {until:DateTime64(6, 'UTC')}
    and query not like '%now64(6%'
    and query not like '%FROM system.settings%'

-- name: rows_read_by_node
-- Rows read by the queries of each node of a dbt build; dbt says in a comment whose query it is.
select
    extract(query, '"node_id": "[a-z]+\\.[a-z_]+\\.([^"]+)"') as node,
    sum(read_rows) as read_rows
from system.query_log
where type = 'QueryFinish' and is_initial_query
    and query_start_time_microseconds >= {since:DateTime64(6, 'UTC')}
    and query_start_time_microseconds < {until:DateTime64(6, 'UTC')}
    and node != ''
group by node

-- name: duration_of_appends
-- Milliseconds of an append to the ledger, the median since a time.
select median(query_duration_ms)
from system.query_log
where type = 'QueryFinish' and query_kind = 'Insert'
    and query_start_time_microseconds >= {since:DateTime64(6, 'UTC')}
    and position(query, 'segment_delivery_ledger') > 0

-- name: merges
-- Merges that run now.
select count() from system.merges
