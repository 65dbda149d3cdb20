-- The queries of this package. A query begins with a line "-- name:"; the comment under it says
-- what it is for. {database} and other identifiers are parameters, bound by the server.

-- name: create_database
-- The output database, which dbt may not have made yet.
create database if not exists {database:Identifier}

-- name: create_markers
-- One row per finished task. The window lets a repeated insert be dropped.
create table if not exists {database:Identifier}.luigi_markers
(
    task_id String,
    task_family LowCardinality(String),
    params String,
    rows UInt64,
    completed_at DateTime64(3, 'UTC')
)
engine = ReplacingMergeTree(completed_at)
order by task_id
settings non_replicated_deduplication_window = 1000

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

-- name: outbox_cut
-- What a send task takes on: all that is pending when it starts. min and max of nothing: the epoch.
select count(), min(enqueued_at), max(enqueued_at)
from {database:Identifier}.{outbox:Identifier}

-- name: outbox_page
-- The next messages after a key. The first condition repeats a part of the second in a form that
-- the primary key can use.
select
    message_id, call, event, entity, entity_id, message, message_bytes, payload_hash, enqueued_at,
    dbt_invocation_id
from {database:Identifier}.{outbox:Identifier}
where enqueued_at >= {after_at:DateTime64(6, 'UTC')}
    and (enqueued_at, message_id) > ({after_at:DateTime64(6, 'UTC')}, {after_id:UUID})
    and enqueued_at <= {last:DateTime64(6, 'UTC')}
order by enqueued_at, message_id
limit {size:UInt32}

-- name: outbox_by_event
-- How much of each event is pending.
select event, count() as messages, sum(message_bytes) as bytes
from {database:Identifier}.{outbox:Identifier}
group by event
order by event

-- name: outbox_samples
-- A few of the oldest pending messages of each event, for a dry run to show.
select
    message_id, call, event, entity, entity_id, message, message_bytes, payload_hash, enqueued_at,
    dbt_invocation_id
from {database:Identifier}.{outbox:Identifier}
order by enqueued_at, message_id
limit {per_event:UInt32} by event

-- name: watermark_proposal
-- The watermark now, and the highest one that is safe: before the oldest pending message, not
-- beyond the youngest message that was ever due, and behind the clock by the lag.
with
    (
        select max(settled_until)
        from {database:Identifier}.segment_outbox_watermarks
        where call = {call:String}
    ) as settled,
    (
        select max(enqueued_at)
        from {database:Identifier}.{events:Identifier}
        where enqueued_at >= settled
    ) as youngest,
    (
        select if(count() = 0, youngest, min(enqueued_at) - toIntervalMicrosecond(1))
        from {database:Identifier}.{outbox:Identifier}
    ) as before_pending
select
    settled,
    least(youngest, before_pending, now64(6, 'UTC') - toIntervalSecond({lag:UInt32})) as proposed

-- name: run_deliveries
-- What the ledger says about one run and call, per event. The lower bound is the oldest message
-- that the run took on: without it the whole ledger would be read.
select
    event,
    uniqExactIf(message_id, status = 'accepted') as accepted,
    uniqExactIf(message_id, status = 'rejected') as rejected
from {database:Identifier}.segment_delivery_ledger
where run_id = {run_id:UUID} and call = {call:String}
    and enqueued_at >= {first_enqueued_at:DateTime64(6, 'UTC')}
group by event
order by event

-- name: run_requests
-- The requests of one run and call.
select
    count() as requests,
    countIf(outcome != 'accepted') as not_accepted,
    sum(bytes) as bytes,
    sum(duration_ms) / 1000 as seconds
from {database:Identifier}.segment_delivery_attempts
where run_id = {run_id:UUID} and call = {call:String}
    and started_at >= {started_at:DateTime64(3, 'UTC')}

-- name: run_rejections
-- Why messages of one run and call were rejected.
select event, reason_code, uniqExact(message_id) as messages, any(detail) as example
from {database:Identifier}.segment_delivery_ledger
where run_id = {run_id:UUID} and call = {call:String} and status = 'rejected'
    and enqueued_at >= {first_enqueued_at:DateTime64(6, 'UTC')}
group by event, reason_code
order by messages desc
limit 20

-- name: delivery_summary
-- What was delivered and what is pending, over all runs.
select call, event, status, messages, last_at
from {database:Identifier}.segment_delivery_summary
order by call, event, status

-- name: open_failures
-- Rows that should go out and cannot, by reason.
select
    if(event_type = '', entity_type, event_type) as event,
    error_code,
    count() as failures,
    any(entity_id) as example
from {database:Identifier}.segment_failed_events
where not resolved
group by event, error_code
order by failures desc, error_code

-- name: accepted_lately
-- One row when Segment accepted a request in the last day: key and address were good then.
select 1
from {database:Identifier}.segment_delivery_attempts
where outcome = 'accepted' and started_at > now64(3, 'UTC') - interval 1 day
limit 1
