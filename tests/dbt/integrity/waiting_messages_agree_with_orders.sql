-- Totals per event and currency: what this build put into messages is what the orders say.
-- Only this build's messages, because a message keeps what it said when an order changes.
with messages as (

    select
        event,
        entity_id,
        JSONExtractString(message, 'properties', 'currency') as currency,
        toDecimal128OrZero(JSONExtractRaw(message, 'properties', 'total'), 6) as total,
        toDecimal128OrZero(JSONExtractRaw(message, 'properties', 'revenue'), 6) as revenue,
        toDecimal128OrZero(JSONExtractRaw(message, 'properties', 'tax'), 6) as tax,
        JSONLength(message, 'properties', 'products') as products
    from {{ ref('segment_track_events') }}
    where
        enqueued_at > now() - interval 1 day
        and dbt_invocation_id = '{{ invocation_id }}'

),

sent as (

    select
        event,
        currency,
        count() as orders,
        sum(total) as total,
        sum(revenue) as revenue,
        sum(tax) as tax,
        sum(products) as products
    from messages
    group by event, currency

),

product_counts as (

    select
        document_sid,
        kind,
        count() as products
    from {{ ref('order_lines') }}
    group by document_sid, kind

),

due as (

    select
        if(orders.kind = 'sale', 'Order Completed', 'Order Refunded') as event,
        assumeNotNull(orders.currency) as currency,
        count() as orders,
        sum(orders.total) as total,
        -- Refunds carry no revenue, which analytics tools would add up.
        sumIf(orders.revenue, orders.kind = 'sale') as revenue,
        sum(orders.tax) as tax,
        sum(product_counts.products) as products
    from {{ ref('orders') }} as orders
    left join product_counts
        on orders.document_sid = product_counts.document_sid and orders.kind = product_counts.kind
    where (ifNull(orders.document_sid, ''), event) in (select (entity_id, event) from messages)
    group by event, currency

)

select
    sent.*,
    due.*
from sent
full outer join due on sent.event = due.event and sent.currency = due.currency
where
    sent.orders != due.orders
    or sent.total != ifNull(due.total, 0)
    or sent.revenue != ifNull(due.revenue, 0)
    or sent.tax != ifNull(due.tax, 0)
    or sent.products != due.products
