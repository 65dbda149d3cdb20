-- What each sale would say if it changed after it was sent. segment_track_events takes those
-- that did.
with orders as (

    {{ sendable_orders('sale') }}

),

rendered as (

    select
        *,
        {{ sale_message('Order Updated') }} as json
    from orders

)

select
    {{ track_columns('Order Updated', 'modified_at') }}
from rendered
