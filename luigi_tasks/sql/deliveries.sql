-- What the ledger says of runs and failures.

-- name: run_deliveries
-- What the ledger says about the runs of a slot and a call, per event. The lower bound is the
-- oldest message that they took on: without it the whole ledger would be read.
select
    event,
    uniqExactIf(message_id, status = 'accepted') as accepted,
    uniqExactIf(message_id, status = 'rejected') as rejected
from {database:Identifier}.segment_delivery_ledger
where has({run_ids:Array(UUID)}, run_id) and call = {call:String} and slot = {slot:DateTime('UTC')}
    and enqueued_at >= {first_enqueued_at:DateTime64(6, 'UTC')}
    and sent_at >= {started_at:DateTime64(3, 'UTC')}
group by event
order by event

-- name: run_requests
-- The requests of the runs of a slot and a call.
select
    count() as requests,
    countIf(outcome != 'accepted') as not_accepted,
    sum(bytes) as bytes,
    sum(duration_ms) / 1000 as seconds
from {database:Identifier}.segment_delivery_attempts
where has({run_ids:Array(UUID)}, run_id) and call = {call:String} and slot = {slot:DateTime('UTC')}
    and started_at >= {started_at:DateTime64(3, 'UTC')}

-- name: run_rejections
-- Why messages of the runs of a slot and a call were rejected.
select event, reason_code, uniqExact(message_id) as messages, any(detail) as example
from {database:Identifier}.segment_delivery_ledger
where has({run_ids:Array(UUID)}, run_id) and call = {call:String} and slot = {slot:DateTime('UTC')}
    and status = 'rejected'
    and enqueued_at >= {first_enqueued_at:DateTime64(6, 'UTC')}
    and sent_at >= {started_at:DateTime64(3, 'UTC')}
group by event, reason_code
order by messages desc
limit 20

-- name: delivery_summary
-- What was delivered and what is pending, over all runs.
select call, event, status, messages, last_at
from {database:Identifier}.segment_delivery_summary
order by call, event, status

-- name: open_failures
-- What should go out and does not, by reason.
select
    error_category,
    if(event_type = '', entity_type, event_type) as event,
    error_code,
    count() as failures,
    any(entity_id) as example
from {database:Identifier}.segment_failed_events
where not resolved
group by error_category, event, error_code
order by failures desc, error_code

-- name: accepted_lately
-- One row when Segment accepted a request in the last day: key and address were good then.
select 1
from {database:Identifier}.segment_delivery_attempts
where outcome = 'accepted' and started_at > now64(3, 'UTC') - interval 1 day
limit 1
