-- The queries of the landing tables. A query begins with a line "-- name:"; the comment under it
-- says what it is for. {database} and other identifiers are parameters, bound by the server.

-- name: create_loads
-- One row per committed load; rows of a load count only once it is here.
create table if not exists {database:Identifier}.loads $on_cluster
(
    load_id String,
    table_name LowCardinality(String),
    file String,
    content_hash String,
    bytes UInt64,
    rows UInt64,
    rejected_rows UInt64,
    columns Array(String),
    loaded_at DateTime64(3, 'UTC')
)
engine = ${replicated}MergeTree
order by (table_name, loaded_at, load_id)
settings ${deduplication_window} = 1000

-- name: create_rejected_rows
-- One row per row of a file that could not be read.
create table if not exists {database:Identifier}.rejected_rows $on_cluster
(
    load_id String,
    table_name LowCardinality(String),
    file String,
    line UInt64,
    text String,
    reason String,
    loaded_at DateTime64(3, 'UTC')
)
engine = ${replicated}MergeTree
order by (table_name, loaded_at, line)
settings ${deduplication_window} = 1000

-- name: columns
-- The columns that a table has, so that those new in the dictionary can be added.
select name
from system.columns
where database = {database:String} and table = {table:String}

-- name: is_loaded
-- Whether this content was loaded into this table before.
select 1
from {database:Identifier}.loads
where table_name = {table:String} and content_hash = {content_hash:String}
limit 1

-- name: is_size_loaded
-- Whether a file of this size was; asked before the file is read.
select 1
from {database:Identifier}.loads
where table_name = {table:String} and bytes = {size:UInt64}
limit 1

-- name: last_load
-- The time of the last load; 1970 before the first.
select max(loaded_at)
from {database:Identifier}.loads

-- name: columns_of_last_load
-- The header of the file that was loaded last.
select columns
from {database:Identifier}.loads
where table_name = {table:String}
order by loaded_at desc
limit 1

-- name: count_rows_of_load
-- The rows that are there; loaded_at is the beginning of the sort key, so few rows are read.
select count()
from {database:Identifier}.{table:Identifier}
where _loaded_at = {loaded_at:DateTime64(3, 'UTC')} and _load_id = {load_id:String}

-- name: rows_without_load
-- Rows that loads left behind which did not finish, and these. Other pipelines write no load id.
select count(), groupUniqArray(_load_id)
from {database:Identifier}.{table:Identifier}
where _load_id != '' and _load_id not in (select load_id from {database:Identifier}.loads)

-- name: delete_rows_without_load
-- Removes those rows. By their loads: each replica of a cluster deletes for itself, and one that is
-- behind does not see every row of `loads` yet.
delete from {database:Identifier}.{table:Identifier}
where _load_id in {load_ids:Array(String)}

-- name: rejected_rows_without_load
-- Rejected rows of such loads.
select count(), groupUniqArray(load_id)
from {database:Identifier}.rejected_rows
where table_name = {table:String} and load_id not in (select load_id from {database:Identifier}.loads)

-- name: delete_rejected_rows_without_load
-- Removes those rows.
delete from {database:Identifier}.rejected_rows
where table_name = {table:String} and load_id in {load_ids:Array(String)}
