{#- With a choice ClickHouse would hold all documents in memory for one of the joins. -#}
{{ config(
    query_settings={'join_algorithm': 'full_sorting_merge'},
    **state_table('(buyer_sid, row_key, kind)', [
        {'name': 'long', 'definition': 'length(products) type minmax granularity 1'},
        held_index(),
        {'name': 'addresses', 'definition': 'email type bloom_filter granularity 1'},
        {'name': 'days', 'definition': 'business_day type minmax granularity 1'},
    ])
) }}

-- Sales and returns as of the last build that worked on them; see the mart orders,
-- which takes out the addresses that are nobody's own by now.
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
    where
        customer_sid is not null
        and {{ changed_only('row_key', ref('int_documents_changed'), 'buyer_sid') }}
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

),

-- A dummy is known by its SID also when the export has no row of it.
dummies as (

    select customer_sid as dummy_sid from customers
    where exclusion_reason = 'dummy_customer'
    union all
    select trim(value) as dummy_sid from {{ ref('dummy_customers') }}
    where match_by = 'sid'

),

products as (

    select
        document_sid,
        kind,
        {{ products_of_lines() }} as products
    from {{ ref('int_order_lines') }}
    group by document_sid, kind

),

orders as (

    select
        -- ids
        ifNull(documents.customer_sid, '') as buyer_sid,
        amounts.row_key as row_key,
        amounts.source_sid as source_sid,
        amounts.document_sid as document_sid,
        amounts.kind as kind,
        amounts.order_id as order_id,
        documents.receipt_number as receipt_number,
        if(
            documents.customer_sid in (select dummy_sid from dummies), null, documents.customer_sid
        ) as customer_sid,

        -- text
        coalesce(customers.email, documents.email) as email,
        documents.currency as currency,
        documents.store_code as store_code,
        concat(
            ifNull(documents.subsidiary, ''), '-',
            coalesce(
                documents.known_store_code,
                concat('no-', toString(documents.store_no)),
                upper(documents.store_code),
                ''
            )
        ) as store_key,
        coalesce(
            documents.store_name,
            nullIf(arrayStringConcat(arrayFilter(
                part -> part is not null,
                [
                    documents.subsidiary,
                    coalesce(
                        documents.known_store_code,
                        toString(documents.store_no),
                        documents.store_code
                    )
                ]
            ), '-'), '')
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
        amounts.fee as fee,
        amounts.discount as discount,
        -- What is weighed is one piece on its line and may be 0.75 in the header.
        ifNull(
            toInt64(ceil(abs(amounts.header_quantity))),
            toInt64(arraySum(tupleElement(products.products, 'quantity')))
        ) as items,

        -- lines
        products.products as products,

        -- flags
        customers.email is not null as is_own_email,
        if(customer_sid is null, null, customers.is_opted_in = 1) as is_opted_in,
        if(customer_sid is null, [], customers.consent_categories) as consent_categories,

        -- timestamps
        toDate(documents.business_wall_time) as business_day,
        documents.occurred_at as occurred_at,
        documents.modified_at as modified_at,

        -- what keeps it from being sent, and what is odd about it
        amounts.failure_code as failure_code,
        if(
            documents.customer_sid in (
                select trim(user_id) from {{ ref('suppressed_users') }}
            ), 'suppressed', null
        ) as exclusion_reason,
        arrayConcat(amounts.warnings, arrayFilter(code -> code != '', [
            if(
                customer_sid is not null and customers.customer_sid is null,
                'customer_without_row', ''
            ),
            if(
                customer_sid is not null and customers.email != documents.email,
                'document_email_differs', ''
            )
        ])) as warnings,
        documents._file as _file,
        documents._line as _line,
        documents._loaded_at as _loaded_at
    from sales_and_returns as amounts
    inner join documents
        on amounts.row_key = documents.row_key
    left join products
        on amounts.row_key = products.document_sid and amounts.kind = products.kind
    left join customers on documents.customer_sid = customers.customer_sid

)

{{ with_those_gone('orders', ['buyer_sid', 'row_key', 'kind']) }}
