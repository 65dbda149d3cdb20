-- What each customer bought and brought back, over the orders that were or can be sent.
with orders as (

    select *
    from {{ ref('orders') }}
    where failure_code is null and customer_sid is not null

),

quantities as (

    select
        document_sid,
        kind,
        sum(quantity) as items
    from {{ ref('order_lines') }}
    group by document_sid, kind

),

stores as (

    select
        customer_sid,
        argMax(store_code, (order_count, last_order_at)) as favorite_store
    from (
        select
            customer_sid,
            store_code,
            count() as order_count,
            max(occurred_at) as last_order_at
        from orders
        where kind = 'sale' and store_code is not null
        group by customer_sid, store_code
    ) as visits
    group by customer_sid

),

totals as (

    select
        orders.customer_sid as customer_sid,
        countIf(orders.kind = 'sale') as total_orders,
        sumIf(quantities.items, orders.kind = 'sale') as items_purchased,
        sumIf(quantities.items, orders.kind = 'return') as items_returned,
        uniqExact(orders.currency) as currencies,
        if(currencies = 1, sum(orders.revenue), null) as lifetime_revenue,
        if(
            currencies = 1 and total_orders > 0,
            round(sumIf(orders.revenue, orders.kind = 'sale') / total_orders, 2), null
        ) as average_order_value,
        minIf(orders.occurred_at, orders.kind = 'sale') as first_order_at,
        maxIf(orders.occurred_at, orders.kind = 'sale') as last_order_at
    from orders
    left join quantities
        on orders.document_sid = quantities.document_sid and orders.kind = quantities.kind
    group by orders.customer_sid

)

select
    totals.*,
    nullIf(stores.favorite_store, '') as favorite_store
from totals
left join stores on totals.customer_sid = stores.customer_sid
