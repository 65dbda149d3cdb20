{{ config(order_by='document_sid') }}

-- Every line of the documents that this build works on, in its newest version, and why it is in
-- no order.
with lines as (

    select * from {{ ref('int_lines_directed') }}

),

superseded as (

    select * from {{ ref('int_document_loads_superseded') }}

),

replaced as (

    select * from {{ ref('stg_retail_pro__document_items') }}
    where
        ifNull(document_sid, '') in (select document_sid from superseded)
        and row_key not in (
            select row_key from lines
            where document_sid in (select document_sid from superseded)
        )
        and (row_key, ifNull(document_sid, '')) not in (
            select
                row_key,
                document_sid
            from {{ ref('int_lines_moved') }}
        )
    order by {{ newest_version_first('row_key') }}
    limit 1 by row_key

)

select
    document_sid,
    row_key,
    source_sid,
    line_sid,
    left_out_reason as reason,
    _file,
    _line,
    _loaded_at
from lines
union all
select
    assumeNotNull(document_sid) as document_sid,
    row_key,
    source_sid,
    line_sid,
    'replaced' as reason,
    _file,
    _line,
    _loaded_at
from replaced
