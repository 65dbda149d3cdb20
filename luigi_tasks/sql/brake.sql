-- The brake: how much would be sent, and how much is usual.

-- name: brake_pending
-- Pending messages of each call that nobody has said to send anyway, and the youngest of them.
select call, count() as messages, max(enqueued_at) as last
from (
    select call, enqueued_at from {database:Identifier}.segment_identify_outbox
    union all
    select call, enqueued_at from {database:Identifier}.segment_track_outbox
)
where enqueued_at > {approved_until:DateTime64(6, 'UTC')}
group by call

-- name: brake_customers
-- Customers known to Segment, and those of them who are pending. Known is who is settled below the
-- watermark, where ledger rows may have been purged, or was accepted above it.
with
    (
        select max(settled_until)
        from {database:Identifier}.segment_outbox_watermarks
        where call = 'identify'
    ) as watermark
select
    uniqCombined(entity_id) as known,
    uniqCombinedIf(entity_id, entity_id in (
        select entity_id
        from {database:Identifier}.segment_identify_outbox
        where enqueued_at > {approved_until:DateTime64(6, 'UTC')}
    )) as resent
from (
    select entity_id
    from {database:Identifier}.segment_identify_events
    where enqueued_at <= watermark
    union all
    select entity_id
    from {database:Identifier}.segment_delivery_ledger
    where call = 'identify' and status = 'accepted' and enqueued_at > watermark
)

-- name: brake_usual_days
-- Per call the days of the last four weeks, but for today, on which settled messages had entered
-- the outbox, and the messages of the day in their middle.
select call, count() as days, median(messages) as usual
from (
    select call, toDate(enqueued_at) as day, count() as messages
    from {database:Identifier}.segment_delivery_ledger
    where enqueued_at >= toStartOfDay(now('UTC')) - interval 28 day
        and enqueued_at < toStartOfDay(now('UTC'))
        and status in ('accepted', 'rejected')
    group by call, day
)
group by call
