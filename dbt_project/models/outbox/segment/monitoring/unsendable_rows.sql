-- Rows that should go out and break a rule, so that there is no message of them.
with failed_orders as (

    select * from {{ ref('unsendable_orders') }}
    union all
    select * from {{ ref('changed_refunds') }}

),

orders as (

    select
        'order' as entity_type,
        entity_id,
        event_type,
        error_code,
        map(
            'total', ifNull(toString(total), ''), 'store_code', ifNull(store_code, '')
        ) as facts,
        _file,
        _line,
        _loaded_at
    from failed_orders

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
    where {{ is_held() }} and exclusion_reason is null

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
    from {{ ref('exported_lines') }}
    where reason = 'sid_malformed'

),

failures as (

    select * from orders
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
