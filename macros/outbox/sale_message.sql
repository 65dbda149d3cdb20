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
                    {{ surely('order_id') }}, receipt_number,
                    {{ surely('total') }}, subtotal, {{ surely('revenue') }},
                    {{ surely('tax') }}, {{ surely('shipping') }}, fee, {{ surely('discount') }},
                    {{ surely('currency') }},
                    sent_products,
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
                    fee Nullable(Decimal(38, 6)),
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

{#-
    A value that each order which may be sent has. The condition that it may be sent can be
    evaluated after the message, since ClickHouse merges it with conditions on the message.
-#}
{% macro surely(column) -%}
assumeNotNull({{ column }})
{%- endmacro %}
