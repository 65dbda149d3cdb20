{{ config(order_by="(ifNull(document_sid, ''), row_key)") }}

-- The newest version of each line of the documents that this build works on, as their newest
-- version has them.
with versions as (

    select * from {{ ref('stg_retail_pro__document_items') }}
    where
        {{ changed_only("ifNull(document_sid, '')", ref('int_documents_changed'), 'row_key') }}
        and (ifNull(document_sid, ''), _loaded_at) not in (
            select
                document_sid,
                loaded_at
            from {{ ref('int_document_loads_superseded') }}
        )
        and (row_key, ifNull(document_sid, '')) not in (
            select
                row_key,
                document_sid
            from {{ ref('int_lines_moved') }}
        )

)

{{ newest_versions('versions', 'document_sid, row_key') }}
