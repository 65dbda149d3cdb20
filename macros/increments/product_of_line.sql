{#- A line of int_order_lines as the element of an order's `products`. -#}
{% macro product_of_line() -%}
cast(
            (
                line_sid, position, product_id, item_sid, product_name, category, brand, variant,
                quantity, weighed_quantity, price, is_gift_card
            ),
            'Tuple(
                line_sid String,
                position UInt64,
                product_id Nullable(String),
                item_sid Nullable(String),
                product_name Nullable(String),
                category Nullable(String),
                brand Nullable(String),
                variant Nullable(String),
                quantity UInt64,
                weighed_quantity Nullable(Decimal(38, 6)),
                price Decimal(38, 6),
                is_gift_card Bool
            )'
        )
{%- endmacro %}
