{{ config(order_by='(buyer_sid, row_key)') }}

-- Documents that this build works on, with each customer that they ever had: those with new rows
-- or new lines, and those of customers of whom an order now says something else.
with scope as (

    select * from {{ ref('int_build_scope') }}

),

staged_lines as (

    select row_key from {{ ref('stg_retail_pro__document_items') }}
    where _staged_at > (select built_until from scope)

),

-- With `union distinct` ClickHouse would not look up the keys by their projections.
changed as (

    select row_key from {{ ref('stg_retail_pro__documents') }}
    where _staged_at > (select built_until from scope)
    union all
    -- A line may have been on another document before. Not named row_key, which is the line's.
    select ifNull(document_sid, '') as line_document
    from {{ ref('stg_retail_pro__document_items') }}
    where {{ changed_only('row_key', 'staged_lines') }}
    union all
    select row_key from {{ ref('stg_retail_pro__documents') }}
    where customer_sid in (
        select row_key from {{ ref('int_customers_screened') }}
        where order_facts_changed_at > (select built_until from scope)
    )

)

select
    row_key,
    ifNull(customer_sid, '') as buyer_sid
from {{ ref('stg_retail_pro__documents') }}
where {{ changed_only('row_key', 'changed') }}
group by row_key, buyer_sid
