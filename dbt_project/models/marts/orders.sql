with sales_and_returns as (

    select * from {{ ref('int_sales_valued') }}
    union all
    select * from {{ ref('int_returns_valued') }}

),

documents as (

    select * from {{ ref('int_documents_classified') }}

),

customers as (

    select * from {{ ref('int_customers_screened') }}
    where customer_sid is not null

),

orders as (

    select
        -- ids
        amounts.source_sid as source_sid,
        amounts.document_sid as document_sid,
        amounts.kind as kind,
        amounts.order_id as order_id,
        documents.receipt_number as receipt_number,
        if(customers.exclusion_reason = 'dummy_customer', null, documents.customer_sid)
            as customer_sid,

        -- text
        coalesce(customers.email, documents.email) as email,
        documents.currency as currency,
        documents.store_code as store_code,
        coalesce(
            documents.store_name,
            nullIf(concatWithSeparator('-', ifNull(documents.subsidiary, ''), ifNull(documents.store_code, '')), '-')
        ) as store_name,
        documents.subsidiary as subsidiary,
        documents.payment_method as payment_method,
        documents.shipping_method as shipping_method,

        -- numerics
        amounts.total as total,
        amounts.subtotal as subtotal,
        amounts.revenue as revenue,
        amounts.tax as tax,
        amounts.shipping as shipping,
        amounts.discount as discount,

        -- timestamps
        documents.occurred_at as occurred_at,

        -- what keeps it from being sent
        amounts.failure_code as failure_code,
        if(customers.exclusion_reason = 'suppressed', 'suppressed', null) as exclusion_reason,
        documents._file as _file,
        documents._line as _line,
        documents._loaded_at as _loaded_at
    from sales_and_returns as amounts
    inner join documents
        on amounts.source_sid = documents.source_sid
    left join customers on documents.customer_sid = customers.customer_sid

)

select * from orders
