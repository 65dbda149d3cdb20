-- The forecast of a plan.

-- name: forecast_messages
-- Pending messages per event by what came before them: nothing, another content, or the same content
-- (requeued). What is before an Order Updated or Cancelled is the order's last state that was due.
with
    pending as (
        select
            event, entity_id, message_bytes, payload_hash, enqueued_at,
            if(event in ('Order Updated', 'Order Cancelled'), 'Order Completed', event) as chain
        from {database:Identifier}.{outbox:Identifier}
    ),
    earlier as (
        select
            entity_id, payload_hash, enqueued_at,
            if(event in ('Order Updated', 'Order Cancelled'), 'Order Completed', event) as chain
        from {database:Identifier}.{events:Identifier}
        where entity_id in (select entity_id from pending)
    )
select
    pending.event as event,
    countIf(earlier.payload_hash = '') as new,
    countIf(earlier.payload_hash not in ('', pending.payload_hash)) as changed,
    countIf(earlier.payload_hash != '' and earlier.payload_hash = pending.payload_hash) as again,
    sum(pending.message_bytes) as bytes
from pending
asof left join earlier
    on pending.entity_id = earlier.entity_id and pending.chain = earlier.chain
        and pending.enqueued_at > earlier.enqueued_at
group by event
order by event

-- name: forecast_unchanged
-- Customers and orders per event with nothing pending: their last message is settled.
select event, uniqExact(entity_id) as entities
from {database:Identifier}.{events:Identifier}
where entity_id not in (select entity_id from {database:Identifier}.{outbox:Identifier})
group by event

-- name: forecast_changes
-- Some of the pending messages that change what was due before, with both texts, oldest first.
with
    pending as (
        select
            message, event, entity, entity_id, payload_hash, enqueued_at, message_id,
            if(event in ('Order Updated', 'Order Cancelled'), 'Order Completed', event) as chain
        from {database:Identifier}.{outbox:Identifier}
    ),
    earlier as (
        select
            message_id, entity_id, payload_hash, enqueued_at,
            if(event in ('Order Updated', 'Order Cancelled'), 'Order Completed', event) as chain
        from {database:Identifier}.{events:Identifier}
        where entity_id in (select entity_id from pending)
    ),
    changes as (
        select
            pending.event as event, pending.entity as entity, pending.entity_id as entity_id,
            pending.message as message, pending.enqueued_at as enqueued_at,
            earlier.message_id as before_id
        from pending
        asof inner join earlier
            on pending.entity_id = earlier.entity_id and pending.chain = earlier.chain
                and pending.enqueued_at > earlier.enqueued_at
        where pending.payload_hash != earlier.payload_hash
        order by pending.enqueued_at, pending.message_id
        limit {samples:UInt32} by event
    )
select changes.event, changes.entity, changes.entity_id, before.message, changes.message
from changes
inner join
    (
        select message_id, message
        from {database:Identifier}.{events:Identifier}
        where message_id in (select before_id from changes)
    ) as before on before.message_id = changes.before_id
order by changes.enqueued_at

-- name: forecast_users
-- Users of the pending messages, and those of them to whom nothing was sent in this calendar month:
-- Segment bills each user once a month. Then those of these who are guests known by an address, whom
-- it bills only because of the variable guest_orders.
with
    pending as (
        select if(user_id = '', anonymous_id, user_id) as user
        from {database:Identifier}.segment_identify_outbox
        union all
        select if(user_id = '', anonymous_id, user_id) as user
        from {database:Identifier}.segment_track_outbox
    ),
    sent as (
        select enqueued_at, message_id
        from {database:Identifier}.segment_delivery_ledger
        where status = 'accepted' and sent_at >= toStartOfMonth(now('UTC'))
    ),
    billed as (
        select if(user_id = '', anonymous_id, user_id) as user
        from {database:Identifier}.segment_identify_events
        where (enqueued_at, message_id) in (select enqueued_at, message_id from sent)
        union all
        select if(user_id = '', anonymous_id, user_id) as user
        from {database:Identifier}.segment_track_events
        where (enqueued_at, message_id) in (select enqueued_at, message_id from sent)
    )
select
    uniqExact(user) as users,
    uniqExactIf(user, user not in (select user from billed)) as first_this_month,
    uniqExactIf(
        user, startsWith(user, 'retail-pro-guest-') and user not in (select user from billed)
    ) as guests_this_month
from pending
