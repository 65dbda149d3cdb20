{{ config(order_by='row_key') }}

-- The newest version of each document that this build works on.
select * from {{ ref('stg_retail_pro__documents') }}
where {{ changed_only('row_key', ref('int_documents_changed')) }}
order by {{ newest_version_first('row_key') }}
limit 1 by row_key
