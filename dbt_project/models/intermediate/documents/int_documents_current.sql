{{ config(order_by='row_key') }}

-- The newest version of each document that this build works on.
with versions as (

    select * from {{ ref('stg_retail_pro__documents') }}
    where {{ changed_only('row_key', ref('int_documents_changed')) }}

)

{{ newest_versions('versions') }}
