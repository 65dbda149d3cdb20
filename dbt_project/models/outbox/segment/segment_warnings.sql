-- What goes out and is odd, so that somebody should look at it.
with warned as (

    select
        'order' as entity_type,
        source_sid as entity_id,
        if(kind = 'sale', 'Order Completed', 'Order Refunded') as event_type,
        arrayJoin(warnings) as warning_code,
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
        _file,
        _line,
        _loaded_at as created_at
    from {{ ref('customers') }}
    where failure_code is null and exclusion_reason is null
    union all
    select
        entity_type,
        entity_id,
        '' as event_type,
        'version_conflict' as warning_code,
        '' as _file,
        0 as _line,
        last_loaded_at as created_at
    from {{ ref('stg_retail_pro__version_conflicts') }}

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
    warned._file as file,
    warned._line as line,
    warned.created_at as created_at
from warned
left join reasons on warned.warning_code = reasons.warning_code
