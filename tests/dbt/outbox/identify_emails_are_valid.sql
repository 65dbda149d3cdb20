-- Klaviyo refuses a customer with a malformed address. Before the message is entered.
select
    entity_id,
    body
from {{ ref('identify') }}
where
    {{ changed_only('row_key', ref('int_customers_touched')) }}
    and JSONHas(body, 'traits', 'email')
    and not match(JSONExtractString(body, 'traits', 'email'), '^[^@\\s]+@[^@\\s.]+(\\.[^@\\s.]+)+$')
