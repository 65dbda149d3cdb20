-- No order goes out without a currency in ISO form, a total that is a plain number without
-- sign, and an id; destinations would count it as nothing, or in dollars.
select
    message_id,
    message
from {{ ref('segment_track_outbox') }}
where
    not match(JSONExtractString(message, 'properties', 'currency'), '^[A-Z]{3}$')
    or not match(JSONExtractRaw(message, 'properties', 'total'), '^[0-9]+(\\.[0-9]+)?$')
    or JSONExtractString(message, 'properties', 'order_id') = ''
