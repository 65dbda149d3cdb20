{{ config(order_by='row_key') }}

-- The newest version of each customer that this build works on.
with versions as (

    select * from {{ ref('stg_retail_pro__customers') }}
    where {{ changed_only('row_key', ref('int_customers_changed')) }}

)

{{ newest_versions('versions') }}
