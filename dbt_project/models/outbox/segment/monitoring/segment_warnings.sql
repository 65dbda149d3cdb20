-- What goes out and is odd, so that somebody should look at it.
with refunds as (

    select * from {{ ref('orders') }}
    where
        kind = 'return'
        and failure_code is null
        and exclusion_reason is null
        and order_id != document_sid

),

sales as (

    select
        document_sid,
        currency,
        total
    from {{ ref('orders') }}
    where kind = 'sale' and document_sid in (select order_id from refunds)

),

-- Of which more was paid back than was paid.
refunded_twice as (

    select refunds.order_id as order_id
    from refunds
    inner join sales
        on refunds.order_id = sales.document_sid and refunds.currency = sales.currency
    group by refunds.order_id
    having sum(refunds.total) > any(sales.total)

),

warned as (

    select
        'order' as entity_type,
        source_sid as entity_id,
        if(kind = 'sale', 'Order Completed', 'Order Refunded') as event_type,
        arrayJoin(warnings) as warning_code,
        '' as detail,
        _file,
        _line,
        _loaded_at as created_at
    from {{ ref('orders') }}
    where failure_code is null and exclusion_reason is null
    union all
    select
        'customer' as entity_type,
        source_sid as entity_id,
        'Identify' as event_type,
        arrayJoin(warnings) as warning_code,
        '' as detail,
        _file,
        _line,
        _loaded_at as created_at
    from {{ ref('customers') }}
    where failure_code is null and exclusion_reason is null
    union all
    select
        'order' as entity_type,
        source_sid as entity_id,
        'Order Refunded' as event_type,
        'refunds_exceed_sale' as warning_code,
        '' as detail,
        _file,
        _line,
        _loaded_at as created_at
    from refunds
    where order_id in (select order_id from refunded_twice)
    union all
    select
        entity_type,
        entity_id,
        '' as event_type,
        'version_conflict' as warning_code,
        '' as detail,
        '' as _file,
        0 as _line,
        last_loaded_at as created_at
    from {{ ref('stg_retail_pro__version_conflicts') }}
    union all
    select
        'order' as entity_type,
        orders.source_sid as entity_id,
        'Order Updated' as event_type,
        'customer_changed' as warning_code,
        if(
            moved_orders.last_user_id = '', 'It was a guest\'s.',
            concat('It was customer ', moved_orders.last_user_id, '\'s.')
        ) as detail,
        orders._file as _file,
        orders._line as _line,
        orders._loaded_at as created_at
    from {{ ref('orders') }} as orders
    inner join {{ ref('moved_orders') }} as moved_orders
        on orders.document_sid = moved_orders.entity_id
    where orders.kind = 'sale' and orders.failure_code is null and orders.exclusion_reason is null

),

reasons as (

    select * from {{ ref('warning_reasons') }}

)

select
    warned.entity_type as entity_type,
    warned.entity_id as entity_id,
    warned.event_type as event_type,
    warned.warning_code as warning_code,
    reasons.warning_message as warning_message,
    warned.detail as detail,
    warned._file as file,
    warned._line as line,
    warned.created_at as created_at
from warned
left join reasons on warned.warning_code = reasons.warning_code
