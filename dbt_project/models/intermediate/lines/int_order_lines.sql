{{ config(order_by='document_sid') }}

-- The lines of sales and returns that this build works on, as they go out.
with lines as (

    select *
    from {{ ref('int_lines_directed') }}
    where
        left_out_reason = ''
        and measured_quantity is not null
        and price is not null

),

order_lines as (

    select
        -- ids
        source_sid as line_sid,
        document_sid,
        direction as kind,
        coalesce(alu, item_sid) as product_id,
        item_sid,

        -- text
        coalesce(product_name, product_id) as product_name,
        category,
        brand,
        coalesce(
            nullIf(concatWithSeparator(' / ', item_size, item_attribute), ''),
            item_size, item_attribute, product_id
        ) as variant,
        currency,

        -- numerics
        line_number,
        event_quantity as quantity,
        if(is_weighed, measured_quantity, null) as weighed_quantity,
        abs(event_price) as price,

        -- flags
        ifNull(kit_flag, 0) = 10 as is_gift_card
    from lines

)

select * from order_lines
