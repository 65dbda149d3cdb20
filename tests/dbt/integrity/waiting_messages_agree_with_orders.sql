-- Sums per event, day and currency that differ between the messages that wait to be sent and the
-- orders. Only the last message of each sale and refund, and of these such as the last build
-- entered or as say what would be said now: an earlier one keeps what it said, and so does one of
-- which a mapping or a variable has changed since, and the export has not. That a change of the
-- export is told is the business of changed_orders_are_told.
with waiting as (

    select *
    from {{ ref('segment_track_outbox') }}

),

waiting_documents as (

    select
        ifNull(customer_sid, '') as buyer_sid,
        row_key
    from {{ ref('stg_retail_pro__documents') }}
    where row_key in (select entity_id from waiting)
    group by buyer_sid, row_key

),

orders as (

    select * from {{ ref('orders') }}
    where
        (buyer_sid, row_key) in (select * from waiting_documents)
        and failure_code is null
        and exclusion_reason is null

),

said_now as (

    {% for messages, kind in [('order_completed', 'sale'), ('order_refunded', 'return')] -%}
        {{ 'union all' if not loop.first }}
        select
            entity_id,
            '{{ kind }}' as kind,
            {{ payload_hash('body') }} as payload_hash
        from {{ ref(messages) }}
        where (buyer_sid, row_key) in (select * from waiting_documents)
    {% endfor %}

),

last_events as (

    select
        entity_id,
        if(event = 'Order Refunded', 'return', 'sale') as kind,
        argMax(message_id, enqueued_at) as message_id
    from {{ ref('segment_track_events') }}
    where entity_id in (select entity_id from waiting)
    group by entity_id, kind

),

messages as (

    select
        entity_id,
        event,
        if(event = 'Order Refunded', 'return', 'sale') as kind,
        toDate(occurred_at) as day,
        JSONExtractString(message, 'timestamp') as sent_timestamp,
        JSONExtract(message, 'properties', 'Map(String, String)') as properties,
        JSONExtractArrayRaw(properties['products']) as product_list
    from waiting
    where
        message_id in (select message_id from last_events)
        -- It says what was said before.
        and event != 'Order Cancelled'
        and (
            enqueued_at >= (select staged_until from {{ ref('int_build_scope') }})
            or (entity_id, kind, payload_hash) in (select * from said_now)
        )

),

said as (

    select
        event,
        day,
        properties['currency'] as currency,
        count() as orders,
        sum(toDecimal128OrZero(properties['total'], 6)) as total,
        sum(toDecimal128OrZero(properties['revenue'], 6)) as revenue,
        sum(toDecimal128OrZero(properties['tax'], 6)) as tax,
        sum(length(product_list)) as products,
        sum(arraySum(product -> JSONExtractUInt(product, 'quantity'), product_list)) as quantity
    from messages
    -- The day is the one that the message itself names.
    where startsWith(sent_timestamp, toString(day))
    group by event, day, currency

),

lines as (

    select
        document_sid,
        kind,
        count() as products,
        sum(quantity) as quantity
    from {{ ref('order_lines') }}
    where (buyer_sid, row_key) in (select * from waiting_documents)
    group by document_sid, kind

),

due as (

    select
        messages.event as event,
        messages.day as day,
        ifNull(orders.currency, '') as currency,
        count() as orders,
        sum(orders.total) as total,
        -- Refunds carry no revenue, which analytics tools would add up.
        sumIf(orders.revenue, orders.kind = 'sale') as revenue,
        sum(orders.tax) as tax,
        sum(lines.products) as products,
        sum(lines.quantity) as quantity
    from messages
    inner join orders
        on messages.entity_id = orders.document_sid and messages.kind = orders.kind
    left join lines
        on messages.entity_id = lines.document_sid and messages.kind = lines.kind
    group by event, day, currency

)

select
    said.*,
    due.*
from said
full outer join due
    on said.event = due.event and said.day = due.day and said.currency = due.currency
where
    said.orders != due.orders
    or said.total != ifNull(due.total, 0)
    or said.revenue != ifNull(due.revenue, 0)
    or said.tax != ifNull(due.tax, 0)
    or said.products != due.products
    or said.quantity != due.quantity
