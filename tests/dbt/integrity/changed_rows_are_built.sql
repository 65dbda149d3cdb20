-- Customers, documents and lines that this build should have worked on and has nothing about.
with documents as (

    select * from {{ ref('int_documents_changed') }}

),

document_states as (

    select * from {{ ref('int_document_states') }} final
    where {{ of_changed_documents() }}

),

-- A line of two documents is accounted for with the one that it is on now.
lines as (

    select row_key from {{ ref('stg_retail_pro__document_items') }}
    where
        ifNull(document_sid, '') in (select row_key from documents)
        and row_key not in (select row_key from {{ ref('int_lines_moved') }})

),

customers as (

    select row_key from {{ ref('customers') }}
    where {{ changed_only('row_key', ref('int_customers_changed')) }}

)

select
    'customer' as entity_type,
    row_key
from {{ ref('int_customers_changed') }}
where row_key not in (select row_key from customers)
union all
select
    'order' as entity_type,
    row_key
from documents
where row_key not in (select row_key from document_states)
union all
select
    'order_line' as entity_type,
    row_key
from lines
where row_key not in (select row_key from {{ ref('int_lines_explained') }})
union all
-- What is explained is in the state of its document.
select
    'order_line' as entity_type,
    '' as row_key
from document_states
having sum(length(lines)) != (select count() from {{ ref('int_lines_explained') }})
