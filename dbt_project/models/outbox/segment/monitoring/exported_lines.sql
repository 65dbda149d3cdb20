-- Each line of the export in its newest version, with why it is in no order as far as the line
-- itself says so.
with documents as (

    select * from {{ ref('int_document_states') }}
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

),

without_document as (

    select row_key from {{ ref('stg_retail_pro__document_items') }}
    where ifNull(document_sid, '') not in (select row_key from documents)

),

-- A line may have been on another document before.
newest as (

    select * from {{ ref('stg_retail_pro__document_items') }}
    where row_key in (select row_key from without_document)
    order by {{ newest_version_first('row_key') }}
    limit 1 by row_key

),

orphans as (

    select * from newest
    where ifNull(document_sid, '') not in (select row_key from documents)

)

select
    line.source_sid as source_sid,
    line.line_sid as line_sid,
    document_sid,
    line.reason as reason,
    line._file as _file,
    line._line as _line,
    line._loaded_at as _loaded_at
from documents
array join lines as line
union all
select
    source_sid,
    line_sid,
    document_sid,
    if(line_sid is null or document_sid is null, 'sid_malformed', 'orphan_line') as reason,
    _file,
    _line,
    _loaded_at
from orphans
