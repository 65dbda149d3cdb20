-- Loads of which the lines of a document count no more. Lines belong to the version of their
-- document that was loaded last before them; the lines that came with a newer version replace all
-- that came with an older one, whatever came last.
with items as (

    -- Not named document_sid, which the condition would take for its column.
    select
        assumeNotNull(document_sid) as item_document_sid,
        _loaded_at as loaded_at
    from {{ ref('stg_retail_pro__document_items') }}
    where
        document_sid is not null
        and {{ changed_only(
            "ifNull(document_sid, '')", ref('int_documents_changed'), 'row_key'
        ) }}

),

item_loads as (

    select
        item_document_sid as document_sid,
        arrayJoin(loads) as loaded_at
    from (
        select
            item_document_sid,
            groupUniqArray(loaded_at) as loads
        from items
        group by item_document_sid
        -- Most documents come once.
        having length(loads) > 1
    ) as several

),

document_loads as (

    select
        row_key as document_sid,
        _loaded_at as loaded_at,
        max({{ exported_version() }}) as version
    from {{ ref('stg_retail_pro__documents') }}
    where row_key in (select document_sid from item_loads)
    group by document_sid, loaded_at

),

placed as (

    select
        item_loads.document_sid as document_sid,
        item_loads.loaded_at as loaded_at,
        (document_loads.version, document_loads.loaded_at) as document_version
    from item_loads
    asof left join document_loads
        on item_loads.document_sid = document_loads.document_sid
        and item_loads.loaded_at >= document_loads.loaded_at

),

newest as (

    select
        document_sid,
        max(document_version) as newest_version
    from placed
    group by document_sid

)

select
    placed.document_sid as document_sid,
    placed.loaded_at as loaded_at
from placed
inner join newest on placed.document_sid = newest.document_sid
where placed.document_version != newest.newest_version
