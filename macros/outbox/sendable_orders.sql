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
        products.products as products
    from {{ ref('orders') }} as orders
    left join (
        select
            document_sid,
            arraySort(product -> product.7, groupArray((
                product_id, product_id, item_sid, product_name, price,
                quantity, position, weighed_quantity, category, brand, variant,
                currency, if(is_gift_card, true, null)
            ))) as products
        from {{ ref('order_lines') }}
        where kind = '{{ kind }}'
        group by document_sid
    ) as products on orders.document_sid = products.document_sid
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
    {{ occurred_at }} as occurred_at,
    replaceOne({{ without_traits }}, '"context":{"traits":{}},', '') as body
{%- endmacro %}
