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

-- name: run_stuck
-- Pending messages that the runs of a slot and a call sent alone and Segment did not take, with all
-- their requests in which no other message was.
with tries as (
    select
        message_ids[1] as message_id,
        count() as requests,
        min(started_at) as since,
        argMax(reason_code, started_at) as reason_code,
        argMax(detail, started_at) as detail
    from {database:Identifier}.segment_delivery_attempts
    where call = {call:String} and messages = 1 and outcome in ('retryable', 'unknown')
        and started_at > now64(3, 'UTC') - toIntervalDay({days:UInt16})
    group by message_id
    having countIf(
        has({run_ids:Array(UUID)}, run_id) and started_at >= {started_at:DateTime64(3, 'UTC')}
    ) > 0
)
select
    lower(replaceAll(toString(outbox.message_id), '-', '')) as message_hex,
    if(outbox.event = '', 'identify', outbox.event) as event,
    outbox.entity as entity,
    outbox.entity_id as entity_id,
    tries.requests,
    tries.since,
    tries.reason_code,
    tries.detail
from {database:Identifier}.{outbox:Identifier} as outbox
inner join tries on outbox.message_id = tries.message_id
order by tries.since, message_hex
limit 1000

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

-- name: asked_to_wait
-- The latest moment before which Segment asked to be sent nothing, if no request was accepted
-- since. The clock is that of the senders; what lies in its future cannot be placed.
with
    (
        select max(started_at)
        from {database:Identifier}.segment_delivery_attempts
        where outcome = 'accepted'
            and started_at > {now:DateTime64(3, 'UTC')} - toIntervalSecond({most:UInt32})
    ) as accepted_at
select max(
    addMilliseconds(started_at, duration_ms + 1000 * least(retry_after_s, {most:UInt32}))
)
from {database:Identifier}.segment_delivery_attempts
where retry_after_s > 0
    and started_at > {now:DateTime64(3, 'UTC')} - toIntervalSecond({most:UInt32})
    and started_at <= {now:DateTime64(3, 'UTC')}
    and started_at > accepted_at
