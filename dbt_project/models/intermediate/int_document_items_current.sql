-- Lines as the newest version of their document has them. Lines belong to the version of
-- their document that was loaded last before them; the lines that came with a newer version
-- replace all that came with an older one, whatever came last.
with items as (

    select * from {{ ref('stg_retail_pro__document_items') }}

),

document_loads as (

    select * from {{ ref('stg_retail_pro__document_loads') }}

),

item_loads as (

    select distinct
        assumeNotNull(items.document_sid) as document_sid,
        _loaded_at as loaded_at
    from items
    where items.document_sid is not null

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

),

superseded as (

    select
        placed.document_sid as document_sid,
        placed.loaded_at as loaded_at
    from placed
    inner join newest on placed.document_sid = newest.document_sid
    where placed.document_version != newest.newest_version

)

select *
from items
where (ifNull(document_sid, ''), _loaded_at) not in (select * from superseded)
order by {{ newest_version_first() }}
limit 1 by row_key
