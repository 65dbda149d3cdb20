-- Customers and orders that this build worked on, that may be sent, and of which no message was
-- ever due.
with sendable as (

    select
        entity_id,
        event
    from {{ ref('identify') }}
    where {{ changed_only('row_key', ref('int_customers_touched')) }}
    {%- for messages in [ref('order_completed'), ref('order_refunded')] %}
        union all
        select
            entity_id,
            event
        from {{ messages }}
        where
            {{ of_changed_documents() }}
            and {{ message_size('body') }} <= {{ most_message_bytes() }}
    {%- endfor %}

),

due as (

    select
        entity_id,
        event
    from {{ ref('segment_identify_events') }}
    where {{ changed_only('entity_id', ref('int_customers_touched'), 'row_key') }}
    union all
    select
        entity_id,
        event
    from {{ ref('segment_track_events') }}
    where {{ changed_only('entity_id', ref('int_documents_changed'), 'row_key') }}

)

select * from sendable
where
    (entity_id, event) not in (select * from due)
    -- Of a user who was suppressed when they came.
    and (entity_id, if(event = 'Order Refunded', 'return', 'sale')) not in (
        select
            document_sid,
            kind
        from {{ ref('int_order_changes') }}
        where basis_state = 'withheld'
    )
