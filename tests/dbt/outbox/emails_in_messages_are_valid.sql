-- A malformed address loses a whole order at Braze and Iterable.
with addresses as (

    select
        message_id,
        JSONExtractString(message, 'traits', 'email') as email
    from {{ ref('segment_identify_outbox') }}
    union all
    select
        message_id,
        JSONExtractString(message, 'context', 'traits', 'email') as email
    from {{ ref('segment_track_outbox') }}

)

select *
from addresses
where email != '' and not match(email, '^[^@\\s]+@[^@\\s.]+(\\.[^@\\s.]+)+$')
