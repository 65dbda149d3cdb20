{{ config(order_by='row_key') }}

-- Customers whose message this build looks at: changed ones, and those of changed documents.
select row_key from {{ ref('int_customers_changed') }}
union distinct
select buyer_sid as row_key from {{ ref('int_documents_changed') }}
where buyer_sid != ''
