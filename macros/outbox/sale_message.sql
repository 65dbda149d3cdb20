{#-
    The JSON of a message about a sale, which Order Completed and Order Updated share. From
    the columns of sendable_orders.
-#}
{% macro sale_message(event) -%}
toJSONString(cast(
            (
                'track',
                '{{ event }}',
                user_id,
                anonymous_id,
                ({{ consent() }}, tuple(email)),
                (
                    order_id, receipt_number,
                    total, subtotal, revenue, tax, shipping, discount, currency,
                    products,
                    store_name, store_code, subsidiary, payment_method, shipping_method,
                    'retail_pro'
                )
            ),
            'Tuple(
                type String,
                event String,
                userId Nullable(String),
                anonymousId Nullable(String),
                context Tuple(consent {{ consent_type() }}, traits Tuple(email Nullable(String))),
                properties Tuple(
                    order_id String,
                    receipt_number Nullable(String),
                    total Decimal(38, 6),
                    subtotal Nullable(Decimal(38, 6)),
                    revenue Decimal(38, 6),
                    tax Decimal(38, 6),
                    shipping Decimal(38, 6),
                    discount Decimal(38, 6),
                    currency String,
                    products {{ product_type() }},
                    affiliation Nullable(String),
                    store_code Nullable(String),
                    subsidiary Nullable(String),
                    payment_method Nullable(String),
                    shipping_method Nullable(String),
                    source String
                )
            )'
        ))
{%- endmacro %}
