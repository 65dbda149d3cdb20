-- Sales and refunds that should go out and break a rule, by the event that is missing.
with failed as (

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

entered_sales as (

    select entity_id
    from {{ ref('segment_track_events') }}
    where event = 'Order Completed' and entity_id in (select source_sid from failed)

)

select
    source_sid as entity_id,
    multiIf(
        kind = 'return', 'Order Refunded',
        source_sid in (select entity_id from entered_sales), 'Order Updated',
        'Order Completed'
    ) as event_type,
    error_code,
    total,
    store_code,
    _file,
    _line,
    _loaded_at
from failed
