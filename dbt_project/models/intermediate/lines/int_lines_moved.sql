{{ config(order_by='row_key') }}

-- Documents that lines were on once and have left for another one.
with changed as (

    select row_key from {{ ref('stg_retail_pro__document_items') }}
    where {{ changed_only(
        "ifNull(document_sid, '')", ref('int_documents_changed'), 'row_key'
    ) }}

),

-- By hashes, since all lines of a large export are held in memory here.
candidates as (

    select cityHash64(row_key) as row_hash
    from {{ ref('stg_retail_pro__document_items') }}
    where {{ changed_only('row_key', 'changed') }}
    group by row_hash
    having
        min(cityHash64(ifNull(document_sid, ''))) != max(cityHash64(ifNull(document_sid, '')))

),

versions as (

    select * from {{ ref('stg_retail_pro__document_items') }}
    where
        {{ changed_only('row_key', 'changed') }}
        and cityHash64(row_key) in (select row_hash from candidates)

),

newest as (

    select
        row_key,
        ifNull(document_sid, '') as newest_document_sid
    from versions
    order by {{ newest_version_first('row_key') }}
    limit 1 by row_key

)

select distinct
    versions.row_key as row_key,
    ifNull(versions.document_sid, '') as document_sid
from versions
-- Not as a condition: ClickHouse would not look up the keys above by their projection.
left anti join newest
    on versions.row_key = newest.row_key
    and ifNull(versions.document_sid, '') = newest.newest_document_sid
