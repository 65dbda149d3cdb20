-- Sales and refunds whose message is larger than Segment takes. Only long ones are rendered for
-- it: a product takes some 300 bytes. int_order_states has an index of them.
with long_orders as (

    select
        buyer_sid,
        row_key
    from {{ ref('orders') }}
    where length(products) > 30

),

messages as (

    select * from {{ ref('order_completed') }}
    union all
    select * from {{ ref('order_refunded') }}

)

select
    buyer_sid,
    row_key,
    entity_id,
    event,
    if(event = 'Order Completed', 'sale', 'return') as kind,
    {{ message_size('body') }} as message_bytes
from messages
where
    (buyer_sid, row_key) in (select * from long_orders)
    and message_bytes > {{ most_message_bytes() }}
