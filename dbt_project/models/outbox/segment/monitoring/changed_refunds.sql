-- A refund is sent once. Segment has the old content of one that the export changed later, the old
-- customer of one that is another's now, and one that is no return any more.
with behind as (

    select entity_id
    from {{ source('segment_delivery', 'segment_message_basis') }}
    where kind = 'return' and state = 'behind'
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

),

entered as (

    select
        entity_id,
        argMax(payload_hash, enqueued_at) as last_payload_hash,
        argMax(user_id, enqueued_at) as last_user_id
    from {{ ref('segment_track_events') }}
    where event = 'Order Refunded' and entity_id in (select entity_id from behind)
    group by entity_id

),

-- Such as those that were requeued since.
as_entered as (

    select entity_id from {{ ref('order_refunded') }}
    where
        entity_id in (select entity_id from behind)
        and (entity_id, {{ payload_hash('body') }}, user_id) in (select * from entered)

),

orders as (

    select * from {{ ref('orders') }}
    where kind = 'return' and document_sid in (select entity_id from behind)

),

listed as (

    select
        source_sid,
        total,
        store_code,
        _file,
        _line,
        _loaded_at
    from orders
    where
        -- These are listed for what keeps them from being sent.
        failure_code is null
        and exclusion_reason is null
        and document_sid not in (select entity_id from as_entered)
    union all
    select
        source_sid,
        null as total,
        null as store_code,
        '' as _file,
        0 as _line,
        _loaded_at
    from {{ ref('int_document_states') }}
    where
        document_sid in (select entity_id from behind)
        and document_sid not in (select document_sid from orders)
    settings final = 1

)

select
    source_sid as entity_id,
    'Order Refunded' as event_type,
    'refund_changed' as error_code,
    total,
    store_code,
    _file,
    _line,
    _loaded_at
from listed
