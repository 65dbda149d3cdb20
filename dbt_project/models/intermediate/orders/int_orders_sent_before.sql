-- Orders that came due and cannot be sent as they are now, such as one that came back with an
-- unknown currency, as they were said last. They go on counting for their customer, unless
-- Segment was told that they are cancelled.
with orders as (

    select * from {{ ref('orders') }}
    where {{ changed_only('buyer_sid', ref('int_customers_touched'), 'row_key') }}

),

unsendable_documents as (

    select
        buyer_sid,
        document_sid
    from orders
    where failure_code is not null
    union all
    -- A sale that is a return now.
    select
        buyer_sid,
        document_sid
    from orders
    group by buyer_sid, document_sid
    having countIf(kind = 'sale') = 0
    union all
    select
        buyer_sid,
        document_sid
    from {{ ref('int_document_states') }}
    where
        non_event_reason is not null
        and {{ changed_only('buyer_sid', ref('int_customers_touched'), 'row_key') }}
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

),

sendable_orders as (

    select
        assumeNotNull(document_sid) as sendable_sid,
        kind
    from orders
    where failure_code is null

),

-- A message names its store by the code only, of which a store may have several.
stores as (

    select
        document_sid as visit_sid,
        any(store_key) as known_store_key
    from orders
    group by visit_sid

),

-- The projection of the events finds their keys, and these the messages.
sent as (

    select
        enqueued_at,
        message_id
    from {{ ref('segment_track_events') }}
    where entity_id in (select document_sid from unsendable_documents)

),

last_messages as (

    select
        entity_id as document_sid,
        if(event = 'Order Refunded', 'return', 'sale') as kind,
        argMax(event, enqueued_at) as last_event,
        argMax(message, enqueued_at) as message,
        argMax(user_id, enqueued_at) as customer_sid,
        minIf(
            least(occurred_at, enqueued_at), event in ('Order Completed', 'Order Refunded')
        ) as occurred_at
    from {{ ref('segment_track_events') }}
    where (enqueued_at, message_id) in (select * from sent)
    group by document_sid, kind

)

select
    customer_sid,
    document_sid,
    kind,
    occurred_at,
    JSONExtractString(message, 'properties', 'currency') as currency,
    nullIf(JSONExtractString(message, 'properties', 'store_code'), '') as store_code,
    ifNull(nullIf(stores.known_store_key, ''), concat(
        JSONExtractString(message, 'properties', 'subsidiary'), '-', upper(ifNull(store_code, ''))
    )) as store_key,
    -- Refunds say no revenue.
    if(
        kind = 'sale',
        {{ amount_in('message', 'revenue') }},
        -coalesce(
            {{ amount_in('message', 'subtotal') }} + ifNull({{ amount_in('message', 'fee') }}, 0),
            {{ amount_in('message', 'total') }}
        )
    ) as revenue,
    arraySum(
        product -> JSONExtractUInt(product, 'quantity'),
        JSONExtractArrayRaw(message, 'properties', 'products')
    ) as items
from last_messages
left join stores on last_messages.document_sid = stores.visit_sid
where
    customer_sid != ''
    and last_event != 'Order Cancelled'
    -- What was said of one customer and is another's now counts for neither.
    and (customer_sid, document_sid) in (select * from unsendable_documents)
    and (document_sid, kind) not in (select * from sendable_orders)
