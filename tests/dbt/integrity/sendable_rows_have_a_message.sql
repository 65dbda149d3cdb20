-- Customers and orders that this build worked on, that may be sent, and of which no message was
-- ever due.
with sendable as (

    select
        entity_id,
        event
    from {{ ref('identify') }}
    where {{ changed_only('row_key', ref('int_customers_touched')) }}
    union all
    select
        entity_id,
        event
    from {{ ref('order_completed') }}
    where
        {{ changed_only(
            '(buyer_sid, row_key)', ref('int_documents_changed'), 'buyer_sid, row_key'
        ) }}
        and {{ message_size('body') }} <= {{ most_message_bytes() }}
    union all
    select
        entity_id,
        event
    from {{ ref('order_refunded') }}
    where
        {{ changed_only(
            '(buyer_sid, row_key)', ref('int_documents_changed'), 'buyer_sid, row_key'
        ) }}
        and {{ message_size('body') }} <= {{ most_message_bytes() }}

),

due as (

    select
        entity_id,
        event
    from {{ ref('segment_identify_events') }}
    where {{ changed_only('entity_id', 'sendable') }}
    union all
    select
        entity_id,
        event
    from {{ ref('segment_track_events') }}
    where {{ changed_only('entity_id', 'sendable') }}

)

select * from sendable
where (entity_id, event) not in (select * from due)
