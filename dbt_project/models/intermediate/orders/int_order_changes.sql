{{ config(order_by='(document_sid, kind)') }}

-- What the export says of each document that this build works on, against what it said when a
-- message about the order was last entered (segment_message_basis). Only a difference here makes
-- an update or a cancellation: a changed mapping, variable or model renders orders again and sends
-- none.
with documents as (

    select * from {{ ref('int_documents_classified') }}
    where document_sid is not null

),

lines as (

    select
        ifNull(document_sid, '') as line_document,
        sum(order_content) as lines_content
    from {{ ref('int_document_items_current') }}
    group by line_document

),

said as (

    select
        documents.row_key as document_sid,
        arrayJoin(['sale', 'return']) as kind,
        cityHash64(documents.order_content, lines.lines_content) as content,
        documents.cancel_reason as cancel_reason,
        documents.modified_at as modified_at
    from documents
    left join lines on documents.row_key = lines.line_document

),

basis as (

    select
        kind,
        entity_id,
        content,
        rules,
        toString(state) as state
    from {{ source('segment_delivery', 'segment_message_basis') }}
    where
        kind in ('sale', 'return')
        and {{ changed_only('entity_id', ref('int_documents_changed'), 'row_key') }}
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

),

-- Where there is no hash to compare with, as after an upgrade: what came with other content since
-- the last build. A build of what is new works on nothing else.
with_new_content as (

    {{ documents_with_new_content(ref('stg_retail_pro__documents'), 'row_key') }}
    union all
    {{ documents_with_new_content(
        ref('stg_retail_pro__document_items'), "ifNull(document_sid, '')"
    ) }}

)

select
    said.*,
    basis.content as basis_content,
    basis.rules as basis_rules,
    basis.state as basis_state,
    multiIf(
        basis.rules = '{{ order_content_rules() }}',
        said.content != basis.content,
        basis.state = 'behind'
        or said.document_sid in (select document_sid from with_new_content)
    ) as is_changed
from said
left join basis on said.document_sid = basis.entity_id and said.kind = basis.kind
