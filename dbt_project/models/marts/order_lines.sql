-- The lines of each order, from the row of the order itself.
with orders as (

    select * from {{ ref('orders') }}

)

select
    -- ids
    product.line_sid as line_sid,
    assumeNotNull(document_sid) as document_sid,
    kind,
    product.product_id as product_id,
    product.item_sid as item_sid,

    -- text
    product.product_name as product_name,
    product.category as category,
    product.brand as brand,
    product.variant as variant,
    currency,

    -- numerics
    product.position as position,
    product.quantity as quantity,
    product.weighed_quantity as weighed_quantity,
    product.price as price,

    -- flags
    product.is_gift_card as is_gift_card,

    row_key,
    buyer_sid
from orders
array join products as product
