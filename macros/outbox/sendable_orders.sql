{#-
    The orders of one kind (`sale` or `return`) that may be sent, with their
    products and with who they belong to: the customer, or for guests what the
    variable guest_orders says.
-#}
{% macro sendable_orders(kind) %}
{%- set guest_ids = {
    'store': "concat('retail-pro-store-', store_key)",
    'document': "concat('retail-pro-document-', document_sid)",
    'skip': 'null',
} -%}
{%- if var('guest_orders') not in guest_ids -%}
    {{ exceptions.raise_compiler_error(
        "The variable guest_orders is '" ~ var('guest_orders') ~ "'. Set it to store, document or skip."
    ) }}
{%- endif -%}
select
        orders.*,
        orders.customer_sid as user_id,
        if(orders.customer_sid is null, {{ guest_ids[var('guest_orders')] }}, null) as anonymous_id,
        arrayMap(
            line -> (
                line.product_id, line.product_id, line.item_sid, line.product_name, line.price,
                line.quantity, line.position, line.weighed_quantity, line.category, line.brand,
                line.variant, {{ surely('currency') }}, if(line.is_gift_card, true, null)
            ), orders.products
        ) as sent_products
    from {{ ref('orders') }} as orders
    where
        orders.kind = '{{ kind }}'
        and orders.failure_code is null
        and orders.exclusion_reason is null
        {%- if var('guest_orders') == 'skip' %}
        and orders.customer_sid is not null
        {%- endif -%}
{% endmacro %}

{#- The type of `products` in a track message; field names are written here alone. -#}
{% macro product_type() -%}
Array(Tuple(
                        product_id Nullable(String),
                        sku Nullable(String),
                        item_sid Nullable(String),
                        name Nullable(String),
                        price Decimal(38, 6),
                        quantity UInt64,
                        position UInt64,
                        measured_quantity Nullable(Decimal(38, 6)),
                        category Nullable(String),
                        brand Nullable(String),
                        variant Nullable(String),
                        currency String,
                        gift_card Nullable(Bool)
                    ))
{%- endmacro %}

{#- The columns of an event model, from a rendered order with `json`. -#}
{% macro track_columns(event, occurred_at='occurred_at') -%}
{%- set without_traits -%}
replaceOne({{ without_consent(without_empty('json', ['products'])) }}, ',"traits":{}', '')
{%- endset -%}
'track' as call,
    '{{ event }}' as event,
    ifNull(user_id, '') as user_id,
    ifNull(anonymous_id, '') as anonymous_id,
    'order' as entity,
    assumeNotNull(document_sid) as entity_id,
    buyer_sid,
    row_key,
    {{ occurred_at }} as occurred_at,
    replaceOne({{ without_traits }}, '"context":{"traits":{}},', '') as body
{%- endmacro %}
