{#-
    The orders of one kind (`sale` or `return`) that may be sent, with their
    products and with who they belong to: the customer, or for guests what the
    variable guest_orders says.
-#}
{% macro sendable_orders(kind) %}
{%- set store_id = "concat('retail-pro-store-', store_key)" -%}
{%- set guest_ids = {
    'store': 'if(email is null, ' ~ store_id ~ ', ' ~ guest_id('email') ~ ')',
    'store_only': store_id,
    'document': "concat('retail-pro-document-', document_sid)",
    'skip': 'null',
} -%}
{%- if var('guest_orders') not in guest_ids -%}
    {{ exceptions.raise_compiler_error(
        "The variable guest_orders is '" ~ var('guest_orders')
        ~ "'. Set it to store, store_only, document or skip."
    ) }}
{%- endif -%}
select
        {%- if var('guest_orders') == 'store_only' %}
        orders.* replace (if(orders.customer_sid is null, null, orders.email) as email),
        {%- else %}
        orders.*,
        {%- endif %}
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

{#-
    The anonymousId of a guest who gave an e-mail address. With the namespace, so that whoever sees
    it cannot look it up among the hashes of known addresses. Truncated as long as a messageId.
-#}
{% macro guest_id(email) -%}
concat(
            'retail-pro-guest-',
            substring(
                lower(hex(SHA256(concat('{{ segment_namespace() }}', '|guest|', {{ email }})))), 1, 32
            )
        )
{%- endmacro %}

{#-
    Due track messages with the anonymousId that the first message about the same document had. A
    guest's address can be judged or corrected later, and the rules can change; the order must stay
    whose it was. The id of another address, or of a store's guests, goes without the address: one id
    with several would make Segment's Unify merge strangers. Versions before this one sent the two
    together, and a cancellation says what was said last.

    due: messages; events: the events table; documents: condition on its entity_id, of the documents
    that these messages may be about.
-#}
{% macro with_guest_ids_sent_before(due, events, documents) -%}
(
        select
            due.* except (anonymous_id, body),
            if(
                due.anonymous_id = '' or ifNull(sent.sent_id, '') = '',
                due.anonymous_id, assumeNotNull(sent.sent_id)
            ) as anonymous_id,
            if(
                anonymous_id = due.anonymous_id and not startsWith(anonymous_id, 'retail-pro-store-'),
                due.body,
                replaceRegexpOne(
                    replaceOne(
                        due.body,
                        concat('"anonymousId":', toJSONString(due.anonymous_id)),
                        concat('"anonymousId":', toJSONString(anonymous_id))
                    ),
                    '"context":\\{"traits":\\{"email":"[^"]*"\\}\\},', ''
                )
            ) as body
        from {{ due }} as due
        left join (
            select
                entity_id as sent_document,
                argMin(anonymous_id, enqueued_at) as sent_id
            from {{ events }}
            where
                anonymous_id != ''
                -- The projection of the events finds their keys, and these the messages.
                {%- if documents != 'true' %}
                and (enqueued_at, message_id) in (
                    select enqueued_at, message_id
                    from {{ events }}
                    where {{ documents }}
                )
                {%- endif %}
            group by sent_document
        ) as sent on due.entity_id = sent.sent_document
    )
{%- endmacro %}

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
