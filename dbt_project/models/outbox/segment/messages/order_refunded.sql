with orders as (

    {{ sendable_orders('return') }}

),

rendered as (

    select
        *,
        toJSONString(cast(
            (
                'track',
                'Order Refunded',
                user_id,
                anonymous_id,
                ({{ consent() }}, tuple(email)),
                (
                    {{ surely('order_id') }}, {{ surely('document_sid') }}, receipt_number,
                    {{ surely('total') }}, subtotal, tax, fee, {{ surely('currency') }},
                    sent_products,
                    store_name, store_code, subsidiary, payment_method,
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
                    refund_id String,
                    receipt_number Nullable(String),
                    total Decimal(38, 6),
                    subtotal Nullable(Decimal(38, 6)),
                    tax Nullable(Decimal(38, 6)),
                    fee Nullable(Decimal(38, 6)),
                    currency String,
                    products {{ product_type() }},
                    affiliation Nullable(String),
                    store_code Nullable(String),
                    subsidiary Nullable(String),
                    payment_method Nullable(String),
                    source String
                )
            )'
        )) as json
    from orders

)

select
    {{ track_columns('Order Refunded') }}
from rendered
