-- Rows that should go out and break a rule, so that there is no message of them.
with failed_orders as (

    select
        *,
        ifNull(failure_code, 'message_too_large') as error_code
    from {{ ref('orders') }}
    where
        exclusion_reason is null
        and (
            failure_code is not null
            or (ifNull(document_sid, ''), kind) in (
                select (entity_id, kind) from {{ ref('oversized_orders') }}
            )
        )
        -- A guest's order that would be skipped is none that should go out.
        and (
            {{ var('guest_orders') != 'skip' }}
            or customer_sid is not null
            or failure_code = 'sid_malformed'
        )

),

events as (

    select
        entity_id,
        event,
        payload_hash,
        enqueued_at
    from {{ ref('segment_track_events') }}

),

orders as (

    select
        'order' as entity_type,
        source_sid as entity_id,
        multiIf(
            kind = 'return', 'Order Refunded',
            source_sid in (
                select entity_id from events
                where
                    event = 'Order Completed'
                    and entity_id in (select source_sid from failed_orders)
            ), 'Order Updated',
            'Order Completed'
        ) as event_type,
        error_code,
        map(
            'total', ifNull(toString(total), ''), 'store_code', ifNull(store_code, '')
        ) as facts,
        _file,
        _line,
        _loaded_at
    from failed_orders

),

refunds as (

    select
        entity_id,
        {{ payload_hash('body') }} as payload_hash
    from {{ ref('order_refunded') }}

),

entered_refunds as (

    select
        entity_id,
        argMax(payload_hash, enqueued_at) as payload_hash
    from events
    where event = 'Order Refunded'
    group by entity_id

),

-- A refund is sent once. Segment has the old amount of one that changed later.
changed_refunds as (

    select
        'order' as entity_type,
        orders.source_sid as entity_id,
        'Order Refunded' as event_type,
        'refund_changed' as error_code,
        map(
            'total', ifNull(toString(orders.total), ''),
            'store_code', ifNull(orders.store_code, '')
        ) as facts,
        orders._file as _file,
        orders._line as _line,
        orders._loaded_at as _loaded_at
    from refunds
    inner join entered_refunds on refunds.entity_id = entered_refunds.entity_id
    inner join {{ ref('orders') }} as orders
        on refunds.entity_id = orders.document_sid and orders.kind = 'return'
    where refunds.payload_hash != entered_refunds.payload_hash

),

customers as (

    select
        'customer' as entity_type,
        source_sid as entity_id,
        'Identify' as event_type,
        assumeNotNull(failure_code) as error_code,
        map('name', ifNull(name, '')) as facts,
        _file,
        _line,
        _loaded_at
    from {{ ref('customers') }}
    where failure_code is not null and exclusion_reason is null

),

-- Lines are not messages: a line without an id is missing from its order.
lines as (

    select
        'order_line' as entity_type,
        source_sid as entity_id,
        '' as event_type,
        'sid_malformed' as error_code,
        map('document_sid', ifNull(document_sid, '')) as facts,
        _file,
        _line,
        _loaded_at
    from {{ ref('int_document_items_current') }}
    where line_sid is null or document_sid is null

),

failures as (

    select * from orders
    union all
    select * from changed_refunds
    union all
    select * from customers
    union all
    select * from lines

)

select
    entity_type,
    entity_id,
    event_type,
    error_code,
    toJSONString(mapConcat(map('file', _file, 'line', toString(_line)), facts)) as payload,
    _loaded_at as created_at
from failures
