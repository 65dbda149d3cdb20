-- The restore alarm: how far the ledger reaches.

-- name: ledger_newest
-- When the newest message that Segment accepted entered the outbox, of those since a time; the
-- epoch when there is none.
select max(enqueued_at)
from {database:Identifier}.segment_delivery_ledger
where call = {call:String} and status = 'accepted'
    and enqueued_at >= {since:DateTime64(6, 'UTC')}

-- name: ledger_reach
-- The newest settled message of a call since a time, and up to when the ledger was purged; the epoch
-- where there is none.
select
    (
        select max(enqueued_at)
        from {database:Identifier}.segment_delivery_ledger
        where call = {call:String} and enqueued_at >= {since:DateTime64(6, 'UTC')}
    ) as newest,
    (
        select max(purged_until)
        from {database:Identifier}.segment_delivery_purges
        where call = {call:String}
    ) as purged_until
