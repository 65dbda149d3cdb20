-- What became of each document line of the export, and why one is in no message.
with lines as (

    select * from {{ ref('exported_lines') }}

),

orders as (

    select * from {{ ref('order_outcomes') }}
    where document_sid is not null

),

explained as (

    select
        lines.source_sid as source_sid,
        lines.document_sid as document_sid,
        lines._loaded_at as _loaded_at,
        orders.outcome as order_outcome,
        orders.reason as order_reason,
        lines.line_sid in (select line_sid from {{ ref('order_lines') }}) as is_in_order,
        if(
            orders.outcome = 'not_an_event'
            and lines.reason not in ('replaced', 'sid_malformed', 'orphan_line'),
            orders.reason, lines.reason
        ) as own_reason
    from lines
    left join orders on lines.document_sid = orders.document_sid

)

select
    source_sid,
    document_sid,
    multiIf(
        own_reason = 'sid_malformed', 'held',
        own_reason != '', 'not_an_event',
        order_outcome = 'held' or is_in_order, order_outcome,
        'pending'
    ) as outcome,
    multiIf(
        own_reason != '', own_reason,
        order_outcome = 'held' or is_in_order, order_reason,
        'not_built'
    ) as reason,
    _loaded_at
from explained
