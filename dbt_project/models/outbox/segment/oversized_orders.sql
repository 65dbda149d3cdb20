-- Sales and refunds whose message is larger than Segment takes. Only long ones are rendered for
-- it: a product takes some 300 bytes.
with long_documents as (

    select document_sid
    from {{ ref('order_lines') }}
    group by document_sid
    having count() > 30

),

messages as (

    select * from {{ ref('order_completed') }}
    union all
    select * from {{ ref('order_refunded') }}

)

select
    entity_id,
    event,
    if(event = 'Order Completed', 'sale', 'return') as kind,
    {{ message_size('body') }} as message_bytes
from messages
where
    entity_id in (select document_sid from long_documents)
    and message_bytes > {{ most_message_bytes() }}
