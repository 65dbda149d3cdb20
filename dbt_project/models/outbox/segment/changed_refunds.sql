-- A refund is sent once. Segment has the old content of one that changed later.
with refunds as (

    select
        entity_id,
        {{ payload_hash('body') }} as payload_hash
    from {{ ref('order_refunded') }}

),

entered as (

    select
        entity_id,
        argMax(payload_hash, enqueued_at) as payload_hash
    from {{ ref('segment_track_events') }}
    where event = 'Order Refunded'
    group by entity_id

)

select
    orders.source_sid as entity_id,
    'Order Refunded' as event_type,
    'refund_changed' as error_code,
    orders.total as total,
    orders.store_code as store_code,
    orders._file as _file,
    orders._line as _line,
    orders._loaded_at as _loaded_at
from refunds
inner join entered on refunds.entity_id = entered.entity_id
inner join {{ ref('orders') }} as orders
    on refunds.entity_id = orders.document_sid and orders.kind = 'return'
where refunds.payload_hash != entered.payload_hash
