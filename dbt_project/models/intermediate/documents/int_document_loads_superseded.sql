-- Loads of which the lines of a document count no more. Lines belong to the version of their
-- document that was loaded last before them; the lines that came with a newer version replace all
-- that came with an older one, whatever came last. Fewer of them for the same quantities are
-- perhaps not all.
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
        max({{ exported_version() }}) as version,
        argMax(
            toString((sold_quantity, returned_quantity)), {{ exported_version() }}
        ) as quantities
    from {{ ref('stg_retail_pro__documents') }}
    where row_key in (select document_sid from item_loads)
    group by document_sid, loaded_at

),

placed as (

    select
        item_loads.document_sid as document_sid,
        item_loads.loaded_at as loaded_at,
        (document_loads.version, document_loads.loaded_at) as document_version,
        document_loads.quantities as quantities
    from item_loads
    asof left join document_loads
        on item_loads.document_sid = document_loads.document_sid
        and item_loads.loaded_at >= document_loads.loaded_at

),

lines as (

    select
        ifNull(document_sid, '') as line_document_sid,
        _loaded_at as loaded_at,
        row_key
    from {{ ref('stg_retail_pro__document_items') }}
    where ifNull(document_sid, '') in (select document_sid from item_loads)

),

versions as (

    select
        placed.document_sid as document_sid,
        placed.document_version as document_version,
        any(placed.quantities) as quantities,
        uniqExact(lines.row_key) as line_count
    from lines
    inner join placed
        on lines.line_document_sid = placed.document_sid and lines.loaded_at = placed.loaded_at
    group by document_sid, document_version

),

newest as (

    select
        document_sid,
        max((document_version, quantities, line_count)) as version,
        arrayExists(
            earlier -> earlier.1 = version.2 and earlier.2 > version.3,
            groupArray((quantities, line_count))
        ) as may_lack_lines
    from versions
    group by document_sid

)

select
    placed.document_sid as document_sid,
    placed.loaded_at as loaded_at,
    newest.may_lack_lines as may_lack_lines
from placed
inner join newest on placed.document_sid = newest.document_sid
where placed.document_version != newest.version.1
