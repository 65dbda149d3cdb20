-- No order comes due without a currency in ISO form, amounts that are plain numbers without
-- sign, and an id; destinations would count it as nothing, or in dollars. A malformed e-mail
-- address loses the whole order at Braze and Iterable. Read before the message is entered,
-- because an entered one keeps what it says.
with orders as (

    select
        entity_id,
        body,
        JSONExtractString(body, 'properties', 'currency') as currency,
        JSONExtractString(body, 'properties', 'order_id') as order_id,
        JSONExtractRaw(body, 'properties', 'total') as total,
        JSONExtractRaw(body, 'properties', 'tax') as tax,
        JSONExtractRaw(body, 'properties', 'shipping') as shipping,
        JSONExtractString(body, 'context', 'traits', 'email') as email
    from {{ ref('order_completed') }}
    where {{ of_changed_documents() }}
    union all
    select
        entity_id,
        body,
        JSONExtractString(body, 'properties', 'currency') as currency,
        JSONExtractString(body, 'properties', 'order_id') as order_id,
        JSONExtractRaw(body, 'properties', 'total') as total,
        JSONExtractRaw(body, 'properties', 'tax') as tax,
        JSONExtractRaw(body, 'properties', 'shipping') as shipping,
        JSONExtractString(body, 'context', 'traits', 'email') as email
    from {{ ref('order_refunded') }}
    where {{ of_changed_documents() }}

)

select
    entity_id,
    body
from orders
where
    not match(currency, '^[A-Z]{3}$')
    or not match(total, '^[0-9]+(\\.[0-9]+)?$')
    or match(tax, '^-')
    or match(shipping, '^-')
    or order_id = ''
    or (email != '' and not match(email, '^[^@\\s]+@[^@\\s.]+(\\.[^@\\s.]+)+$'))
