with orders as (

    {{ sendable_orders('sale') }}

),

rendered as (

    select
        *,
        {{ sale_message('Order Completed') }} as json
    from orders

)

select
    {{ track_columns('Order Completed') }}
from rendered
