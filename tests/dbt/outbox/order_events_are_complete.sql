-- No order comes due without a currency in ISO form, amounts that are plain numbers without
-- sign, and an id; destinations would count it as nothing, or in dollars. A malformed e-mail
-- address loses the whole order at Braze and Iterable. Read before the message is entered,
-- because an entered one keeps what it says.
with orders as (

    select
        entity_id,
        body,
        JSONExtract(body, 'properties', 'Map(String, String)') as properties,
        JSONExtractString(body, 'context', 'traits', 'email') as email
    from {{ ref('order_completed') }}
    union all
    select
        entity_id,
        body,
        JSONExtract(body, 'properties', 'Map(String, String)') as properties,
        JSONExtractString(body, 'context', 'traits', 'email') as email
    from {{ ref('order_refunded') }}

)

select
    entity_id,
    body
from orders
where
    not match(properties['currency'], '^[A-Z]{3}$')
    or not match(properties['total'], '^[0-9]+(\\.[0-9]+)?$')
    or match(properties['tax'], '^-')
    or match(properties['shipping'], '^-')
    or properties['order_id'] = ''
    or (email != '' and not match(email, '^[^@\\s]+@[^@\\s.]+(\\.[^@\\s.]+)+$'))
