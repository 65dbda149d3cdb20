{#-
    The lines of an order as its `products`, in the order of the receipt and numbered from 1. An
    aggregate over rows of int_order_lines.
-#}
{% macro products_of_lines() -%}
{%- set fields -%}
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
{%- endset -%}
arrayMap(
            (line, position) -> cast(
                (
                    line.line_sid, position, line.product_id, line.item_sid, line.product_name,
                    line.category, line.brand, line.variant, line.quantity, line.weighed_quantity,
                    line.price, line.is_gift_card
                ),
                'Tuple(
                    line_sid String,
                    position UInt64,
                    {{ fields }}
                )'
            ),
            arraySort(
                line -> (line.line_number is null, ifNull(line.line_number, 0), line.line_sid),
                groupArray(cast(
                    (
                        line_sid, line_number, product_id, item_sid, product_name, category, brand,
                        variant, quantity, weighed_quantity, price, is_gift_card
                    ),
                    'Tuple(
                    line_sid String,
                    line_number Nullable(Int64),
                    {{ fields }}
                    )'
                )) as lines
            ),
            arrayEnumerate(lines)
        )
{%- endmacro %}
