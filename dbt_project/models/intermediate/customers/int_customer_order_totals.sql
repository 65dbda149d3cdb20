-- What each touched customer bought and brought back, over the orders that were or can be sent.
with orders as (

    select *
    from {{ ref('orders') }}
    where
        failure_code is null
        and customer_sid is not null
        and {{ changed_only('buyer_sid', ref('int_customers_touched'), 'row_key') }}
        and (ifNull(document_sid, ''), kind) not in (
            select (entity_id, kind) from {{ ref('oversized_orders') }}
            where {{ changed_only('buyer_sid', ref('int_customers_touched'), 'row_key') }}
        )

),

counted as (

    select
        customer_sid,
        kind,
        -- What a customer did lies not ahead of the time at which we say it.
        if(
            _loaded_at > toDateTime64(0, 3, 'UTC'),
            least(occurred_at, _loaded_at),
            if(occurred_at > now64(3, 'UTC'), null, occurred_at)
        ) as occurred_at,
        currency,
        store_code,
        store_key,
        revenue,
        items
    from orders
    union all
    select
        customer_sid,
        kind,
        occurred_at,
        currency,
        store_code,
        store_key,
        revenue,
        toInt64(items) as items
    from {{ ref('int_orders_sent_before') }}

),

stores as (

    select
        customer_sid,
        argMax(last_store_code, (order_count, last_order_at, store_key)) as favorite_store
    from (
        -- An order may name its store by the number only.
        select
            customer_sid,
            store_key,
            argMaxIf(
                store_code, (occurred_at, store_code), store_code is not null
            ) as last_store_code,
            count() as order_count,
            max(occurred_at) as last_order_at
        from counted
        where kind = 'sale'
        group by customer_sid, store_key
        having last_store_code is not null
    ) as visits
    group by customer_sid

),

totals as (

    select
        customer_sid,
        countIf(kind = 'sale') as total_orders,
        sumIf(items, kind = 'sale') as items_purchased,
        sumIf(items, kind = 'return') as items_returned,
        uniqExact(currency) as currencies,
        if(currencies = 1, sum(revenue), null) as lifetime_revenue,
        if(
            currencies = 1 and total_orders > 0,
            round(sumIf(revenue, kind = 'sale') / total_orders, 2), null
        ) as average_order_value,
        minIf(occurred_at, kind = 'sale') as first_order_at,
        maxIf(occurred_at, kind = 'sale') as last_order_at
    from counted
    group by customer_sid

)

select
    totals.*,
    nullIf(stores.favorite_store, '') as favorite_store
from totals
left join stores on totals.customer_sid = stores.customer_sid
