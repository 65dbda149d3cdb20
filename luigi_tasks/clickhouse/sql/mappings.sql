-- What the mappings of a shop do not say about the rows that were built.

-- name: missing_currencies
-- Names of currencies that hold orders back.
select distinct upper(assumeNotNull(documents.currency_name)) as name, '' as currency_code
from {database:Identifier}.stg_retail_pro__documents as documents
where
    documents.currency_name is not null
    and documents.row_key in (
        select entity_id from {database:Identifier}.unsendable_orders
        where error_code = 'currency_unmapped'
    )
order by name

-- name: missing_stores
-- Stores of documents, by number where they have one, with the name that goes out for them now. Of
-- several codes the longest: spreadsheets take leading zeros away.
with
    known as (
        select sbs_no, toInt64OrNull(store_no) as store_no, upper(store_code) as store_code
        from {database:Identifier}.stores
    ),
    used as (
        select
            assumeNotNull(subsidiary) as sbs_no,
            ifNull(argMax(store_code, lengthUTF8(store_code)), '') as code,
            any(store_no) as number
        from {database:Identifier}.stg_retail_pro__documents
        where
            subsidiary is not null
            and (store_no is not null or store_code is not null)
            and (subsidiary, '') not in (
                select sbs_no, store_code from {database:Identifier}.excluded_stores
            )
        group by subsidiary, if(store_no is null, upper(store_code), toString(store_no))
    )
select
    used.sbs_no as sbs_no,
    used.code as store_code,
    ifNull(toString(used.number), '') as store_no,
    concat(used.sbs_no, '-', if(used.code = '', toString(used.number), used.code)) as store_name,
    any(subsidiaries.time_zone) as time_zone
from used
left join {database:Identifier}.subsidiaries as subsidiaries on used.sbs_no = subsidiaries.sbs_no
where
    (used.sbs_no, used.number) not in (
        select sbs_no, store_no from known where store_no is not null
    )
    and (used.sbs_no, upper(used.code)) not in (select sbs_no, store_code from known)
    and (used.sbs_no, upper(used.code)) not in (
        select sbs_no, upper(store_code) from {database:Identifier}.excluded_stores
    )
group by sbs_no, store_code, store_no, store_name
order by toInt64OrNull(sbs_no), sbs_no, toInt64OrNull(store_no), store_code

-- name: missing_subsidiaries
-- Subsidiaries of documents; their tax method where all of their documents agree about it.
select
    assumeNotNull(subsidiary) as sbs_no,
    '' as subsidiary_name,
    if(uniqExact(uses_vat) = 1, toString(assumeNotNull(any(uses_vat))), '') as use_vat,
    '' as time_zone
from {database:Identifier}.stg_retail_pro__documents
where
    subsidiary is not null
    and subsidiary not in (select sbs_no from {database:Identifier}.subsidiaries)
    and (subsidiary, '') not in (
        select sbs_no, store_code from {database:Identifier}.excluded_stores
    )
group by subsidiary
order by toInt64OrNull(sbs_no), sbs_no

-- name: mapping_rows
-- The rows of a mapping as the last build loaded them.
select * from {database:Identifier}.{table:Identifier}

-- name: builds_without_origin
-- One row when builds of an older version are all that there were.
select 1
from {database:Identifier}.segment_build_progress
having count() > 0 and countIf(origin != '') = 0
