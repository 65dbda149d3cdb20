-- What became of each document line of the export, and why one is in no message.
with lines as (

    select * from {{ ref('stg_retail_pro__document_items') }}
    order by {{ newest_version_first() }}
    limit 1 by row_key

),

orders as (

    select * from {{ ref('order_outcomes') }}
    where document_sid is not null

),

directed as (

    select
        line_sid,
        direction,
        measured_quantity
    from {{ ref('int_lines_directed') }}

),

explained as (

    select
        lines.source_sid as source_sid,
        lines.document_sid as document_sid,
        lines._loaded_at as _loaded_at,
        orders.outcome as order_outcome,
        orders.reason as order_reason,
        lines.line_sid in (select line_sid from {{ ref('order_lines') }}) as is_in_order,
        multiIf(
            lines.row_key not in (select row_key from {{ ref('int_document_items_current') }}),
            'replaced',
            lines.line_sid is null or lines.document_sid is null, 'sid_malformed',
            orders.source_sid = '', 'orphan_line',
            orders.outcome = 'not_an_event', orders.reason,
            ifNull(lines.kit_flag, 0) = 5, 'kit_component',
            directed.direction = 'other', 'neither_sale_nor_return',
            directed.direction = 'unknown', 'direction_unknown',
            directed.measured_quantity = 0, 'zero_quantity',
            {{ "ifNull(lines.kit_flag, 0) = 10, 'gift_card'," if var('exclude_gift_cards') }}
            ''
        ) as own_reason
    from lines
    left join orders on lines.document_sid = orders.document_sid
    left join directed on lines.line_sid = directed.line_sid

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
