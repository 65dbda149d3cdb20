with orders as (

    select
        'order' as entity_type,
        source_sid as entity_id,
        if(kind = 'sale', 'Order Completed', 'Order Refunded') as event_type,
        'validation' as error_category,
        assumeNotNull(failure_code) as error_code,
        toJSONString(map(
            'file', _file, 'line', toString(_line), 'document_sid', source_sid,
            'total', ifNull(toString(total), ''), 'store_code', ifNull(store_code, '')
        )) as payload,
        _loaded_at as created_at,
        toUInt64(0) as retry_count
    from {{ ref('orders') }}
    where failure_code is not null and exclusion_reason is null

),

customers as (

    select
        'customer' as entity_type,
        source_sid as entity_id,
        'Identify' as event_type,
        'validation' as error_category,
        assumeNotNull(failure_code) as error_code,
        toJSONString(map(
            'file', _file, 'line', toString(_line), 'customer_sid', source_sid
        )) as payload,
        _loaded_at as created_at,
        toUInt64(0) as retry_count
    from {{ ref('customers') }}
    where failure_code is not null and exclusion_reason is null

),

-- Lines are not messages: a line without an id is missing from its order.
lines as (

    select
        'order_line' as entity_type,
        source_sid as entity_id,
        '' as event_type,
        'validation' as error_category,
        'sid_malformed' as error_code,
        toJSONString(map(
            'file', _file, 'line', toString(_line), 'document_sid', ifNull(document_sid, '')
        )) as payload,
        _loaded_at as created_at,
        toUInt64(0) as retry_count
    from {{ ref('stg_retail_pro__document_items') }}
    where line_sid is null or document_sid is null

),

events as (

    select
        message_id,
        message
    from {{ ref('segment_identify_events') }}
    union all
    select
        message_id,
        message
    from {{ ref('segment_track_events') }}

),

ledger as (

    -- As a setting, because unit tests put a query in the table's place.
    select *
    from {{ source('segment_delivery', 'segment_delivery_ledger') }}
    settings final = 1

),

-- A failure marked as resolved has a ledger row of that status: the refused
-- message's own, or one without a message for a row that never became one.
resolved as (

    select distinct
        entity,
        entity_id,
        reason_code
    from ledger
    where status = 'resolved'

),

refused as (

    select
        ledger.entity as entity_type,
        ledger.entity_id as entity_id,
        ledger.event as event_type,
        'permanent' as error_category,
        ledger.reason_code as error_code,
        events.message as payload,
        ledger.recorded_at as created_at,
        toUInt64(ledger.attempt) as retry_count,
        ledger.detail as detail
    from ledger
    inner join events on ledger.message_id = events.message_id
    where ledger.status in ('rejected', 'resolved')

),

failures as (

    select
        *,
        '' as detail
    from orders
    union all
    select
        *,
        '' as detail
    from customers
    union all
    select
        *,
        '' as detail
    from lines
    union all
    select * from refused

)

select
    failures.entity_type as entity_type,
    failures.entity_id as entity_id,
    failures.event_type as event_type,
    failures.error_category as error_category,
    failures.error_code as error_code,
    coalesce(nullIf(failures.detail, ''), nullIf(reasons.error_message, ''), failures.error_code)
        as error_message,
    failures.payload as payload,
    failures.created_at as created_at,
    failures.retry_count as retry_count,
    resolved.entity_id != '' as resolved
from failures
left join {{ ref('failure_reasons') }} as reasons on failures.error_code = reasons.error_code
left join resolved
    on failures.entity_type = resolved.entity
    and failures.entity_id = resolved.entity_id
    and failures.error_code = resolved.reason_code
