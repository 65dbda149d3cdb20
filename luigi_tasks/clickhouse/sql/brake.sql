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

-- name: brake_unrecorded
-- Per call how many pending messages were probably sent before: Segment accepted requests since they
-- entered the outbox, and the ledger does not know these requests. The ledger is written before the
-- requests, so this is a lost ledger and not a run that broke off. Both sides are bounded by the
-- oldest pending message, so that a usual run reads little.
with
    pending as (
        select call, enqueued_at
        from (
            select call, enqueued_at from {database:Identifier}.segment_identify_outbox
            union all
            select call, enqueued_at from {database:Identifier}.segment_track_outbox
        )
        where enqueued_at > {approved_until:DateTime64(6, 'UTC')}
    ),
    (select min(enqueued_at) from pending) as oldest,
    lost as (
        select call, sum(messages) as accepted, max(started_at) as until
        from {database:Identifier}.segment_delivery_attempts
        where outcome = 'accepted' and started_at >= oldest
            and batch_id not in (
                select batch_id
                from {database:Identifier}.segment_delivery_ledger
                where enqueued_at >= oldest - interval 31 day
            )
        group by call
    )
select call, least(any(lost.accepted), countIf(enqueued_at <= lost.until)) as resent
from pending
inner join lost on pending.call = lost.call
group by call
