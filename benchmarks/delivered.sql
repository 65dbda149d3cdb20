-- Deliveries that never took place. A query begins with a line "-- name:"; the comment under it says
-- what it is for.

-- name: pending_span
-- The first and last entry of the outbox, and how many there are.
select count(), min(enqueued_at), max(enqueued_at)
from {database:Identifier}.{outbox:Identifier}

-- name: settle
-- Marks the messages of a span as accepted, as the sender does after Segment's answer.
insert into {database:Identifier}.segment_delivery_ledger
(
    message_id, call, event, entity, entity_id, status, http_status, attempt, batch_id,
    message_bytes, payload_hash, enqueued_at, slot, run_id, dbt_invocation_id, sent_at, recorded_at
)
select
    message_id, call, event, entity, entity_id, 'accepted', 200, 1, generateUUIDv4(),
    message_bytes, payload_hash, enqueued_at, toStartOfHour(now('UTC')), {run_id:UUID},
    dbt_invocation_id, now64(3, 'UTC'), now64(3, 'UTC')
from {database:Identifier}.{events:Identifier}
where enqueued_at >= {since:DateTime64(6, 'UTC')} and enqueued_at < {until:DateTime64(6, 'UTC')}
    and message_id not in (
        select message_id
        from {database:Identifier}.segment_delivery_ledger
        where enqueued_at >= {since:DateTime64(6, 'UTC')}
            and enqueued_at < {until:DateTime64(6, 'UTC')}
    )
