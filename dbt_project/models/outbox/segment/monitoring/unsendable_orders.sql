-- Sales and refunds that should go out and break a rule, by the event that is missing.
with held as (

    select
        *,
        assumeNotNull(failure_code) as error_code
    from {{ ref('orders') }}
    where {{ is_held() }}
    union all
    select
        *,
        'message_too_large' as error_code
    from {{ ref('orders') }}
    where
        failure_code is null
        and (buyer_sid, row_key, kind) in (
            select
                buyer_sid,
                row_key,
                kind
            from {{ ref('oversized_orders') }}
        )

),

failed as (

    select * from held
    where
        exclusion_reason is null
        -- A guest's order that would be skipped is none that should go out.
        and (
            {{ var('guest_orders') != 'skip' }}
            or customer_sid is not null
            or error_code = 'sid_malformed'
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
