-- Sales of what the last build worked on that the export has changed since they were said, and of
-- which the last message says something else than the order: in its properties, in whose it is,
-- or in that it is cancelled. Not those that may not be sent.
with changed as (

    select
        document_sid,
        cancel_reason
    from {{ ref('int_order_changes') }}
    where kind = 'sale' and is_changed

),

last_events as (

    select
        entity_id,
        argMax(event, enqueued_at) as last_event,
        argMax(payload_hash, enqueued_at) as last_payload_hash,
        argMax(user_id, enqueued_at) as last_user_id,
        argMax(message, enqueued_at) as last_message
    from {{ ref('segment_track_events') }}
    where event != 'Order Refunded' and entity_id in (select document_sid from changed)
    group by entity_id

),

orders as (

    select
        entity_id,
        user_id,
        body
    from {{ ref('order_updated') }}
    where
        {{ of_changed_documents() }}
        and entity_id in (select document_sid from changed)
        and {{ message_size('body') }} <= {{ most_message_bytes() }}

)

select
    last_events.entity_id as entity_id,
    last_events.last_event as last_event,
    last_events.last_user_id as last_user_id,
    orders.user_id as user_id,
    orders.body as body
from last_events
inner join orders on last_events.entity_id = orders.entity_id
where
    last_message != '' and last_user_id != user_id
    or last_payload_hash != {{ payload_hash('body') }}
union all
select
    last_events.entity_id as entity_id,
    last_events.last_event as last_event,
    last_events.last_user_id as last_user_id,
    '' as user_id,
    '' as body
from last_events
inner join changed on last_events.entity_id = changed.document_sid
where
    changed.cancel_reason is not null
    and last_event != 'Order Cancelled'
    and last_message != ''
    and last_user_id not in (
        select trim(user_id) as suppressed_id from {{ ref('suppressed_users') }}
    )
