{{ config(**event_table('identify')) }}

with customers as (

    select * from {{ ref('identify') }}
    where {{ changed_only('row_key', ref('int_customers_touched')) }}

),

latest as (

    {{ latest_events(ref('int_customers_touched')) }}

),

-- What was said of customers without a sale: those who had some are told that they have none.
last_without_sales as (

    select
        entity_id,
        message_id,
        latest.last_enqueued_at as last_enqueued_at
    from latest
    where entity_id in (
        select entity_id from customers
        where not {{ has_sales('body') }}
    )

),

last_messages as (

    {{ last_messages('last_without_sales') }}

),

-- Under names of their own, so that `*` means the columns of customers below.
said as (

    select
        latest.entity_id as known_id,
        latest.message_id as last_message_id,
        latest.payload_hash as last_payload_hash,
        latest.generation as generation,
        last_messages.message as last_message
    from latest
    left join last_messages on latest.message_id = last_messages.message_id

),

told as (

    select
        customers.* except (row_key, body),
        said.*,
        {{ without_sales('customers.body', 'said.last_message') }} as body,
        {{ payload_hash('body') }} as payload_hash
    from customers
    left join said on customers.entity_id = said.known_id

),

-- The version hashes the one before it too: a customer who changes back to an
-- earlier state must not get that state's id, which Segment would drop.
due as (

    select
        told.* except (payload_hash, known_id, last_payload_hash, last_message),
        if(
            known_id != '',
            {{ chained_version('payload_hash', 'last_message_id') }},
            lower(hex(MD5(payload_hash)))
        ) as version
    from told
    where
        payload_hash != last_payload_hash
        -- Taken off the list of suppressed users.
        or entity_id in (
            select entity_id from {{ source('segment_delivery', 'segment_message_basis') }}
            where kind = 'identify' and state = 'withheld'
            -- As a setting, because unit tests put a query in the table's place.
            settings final = 1
        )

),

with_erasures as (

    {{ with_emptied_traits('due') }}

)

{{ enqueued('identify', 'with_erasures', this if is_incremental() else none) }}
