{{ config(**event_table()) }}

with orders as (

    select * from {{ ref('order_completed') }}
    union all
    select * from {{ ref('order_refunded') }}

),

latest as (

    {{ latest_events() }}

),

-- A sale and a refund happen once: what has an event already is not due.
due as (

    select
        orders.*,
        '' as version,
        0 as generation
    from orders
    left anti join latest
        on orders.entity_id = latest.entity_id and orders.event = latest.event

)

{{ enqueued('due') }}
