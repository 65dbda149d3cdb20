-- Rows read from the export by what became of them.
with newest as (

    select
        'customer' as entity_type,
        outcome,
        reason,
        _loaded_at
    from {{ ref('customer_outcomes') }}
    union all
    select
        'order' as entity_type,
        outcome,
        reason,
        _loaded_at
    from {{ ref('order_outcomes') }}
    union all
    select
        'order_line' as entity_type,
        outcome,
        reason,
        _loaded_at
    from {{ ref('order_line_outcomes') }}

),

-- All rows as they were exported: what tells them apart, and their whole content.
exported as (

    {{ all_staged_rows(['row_key', 'content_hash']) }}

),

replaced as (

    select
        entity_type,
        arrayJoin([
            ('superseded', uniqExact(content_hash) - uniqExact(row_key)),
            ('duplicate', count() - uniqExact(content_hash))
        ]) as counted,
        min(_loaded_at) as first_loaded_at
    from exported
    group by entity_type

)

select
    entity_type,
    outcome,
    reason,
    count() as `rows`,
    min(_loaded_at) as first_loaded_at
from newest
group by entity_type, outcome, reason
union all
select
    entity_type,
    'not_an_event' as outcome,
    counted.1 as reason,
    toUInt64(counted.2) as `rows`,
    first_loaded_at
from replaced
