{{ config(**event_table('track')) }}

with completed_and_refunded as (

    select * from {{ ref('order_completed') }}
    where
        {{ message_size('body') }} <= {{ most_message_bytes() }}
        and {{ of_changed_documents() }}
    union all
    select * from {{ ref('order_refunded') }}
    where
        {{ message_size('body') }} <= {{ most_message_bytes() }}
        and {{ of_changed_documents() }}

),

updated as (

    select
        *,
        {{ payload_hash('body') }} as payload_hash
    from {{ ref('order_updated') }}
    where
        {{ message_size('body') }} <= {{ most_message_bytes() }}
        and {{ of_changed_documents() }}

),

latest as (

    {{ latest_events(ref('int_documents_changed')) }}

),

-- What was said last about each sale, whether it is sent yet or not.
said as (

    select
        entity_id,
        argMax(message_id, last_enqueued_at) as message_id,
        argMax(payload_hash, last_enqueued_at) as payload_hash,
        argMax(generation, last_enqueued_at) as generation
    from latest
    where event in ('Order Completed', 'Order Updated')
    group by entity_id

),

-- A sale and a refund happen once: what has an event already is not due. A sale that has one
-- and says something else now is updated. The version hashes the message before it too, as that
-- of customers does.
due as (

    select
        completed_and_refunded.* except (buyer_sid, row_key),
        '' as version,
        toUInt32(0) as generation
    from completed_and_refunded
    left anti join latest
        on completed_and_refunded.entity_id = latest.entity_id
        and completed_and_refunded.event = latest.event
    union all
    select
        updated.* except (buyer_sid, row_key, payload_hash),
        {{ chained_version('updated.payload_hash', 'said.message_id') }} as version,
        said.generation as generation
    from updated
    inner join said on updated.entity_id = said.entity_id
    where updated.payload_hash != said.payload_hash

)

{{ enqueued('track', 'due', this if is_incremental() else none) }}
