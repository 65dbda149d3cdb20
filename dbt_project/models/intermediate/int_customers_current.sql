{{ config(order_by='row_key') }}

-- The newest version of each customer that this build works on.
select * from {{ ref('stg_retail_pro__customers') }}
where {{ changed_only('row_key', ref('int_customers_changed')) }}
order by {{ newest_version_first('row_key') }}
limit 1 by row_key
