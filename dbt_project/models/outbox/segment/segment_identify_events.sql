{{ config(**event_table('identify')) }}

with customers as (

    select
        *,
        {{ payload_hash('body') }} as payload_hash
    from {{ ref('identify') }}
    where {{ changed_only('row_key', ref('int_customers_touched')) }}

),

latest as (

    {{ latest_events(ref('int_customers_touched')) }}

),

-- The version hashes the one before it too: a customer who changes back to an
-- earlier state must not get that state's id, which Segment would drop.
due as (

    select
        customers.* except (row_key, payload_hash),
        if(
            latest.entity_id = '',
            lower(hex(MD5(customers.payload_hash))),
            {{ chained_version('customers.payload_hash', 'latest.message_id') }}
        ) as version,
        latest.generation as generation,
        latest.message_id as last_message_id
    from customers
    left join latest on customers.entity_id = latest.entity_id
    where customers.payload_hash != latest.payload_hash

),

with_erasures as (

    {{ with_emptied_traits('due') }}

)

{{ enqueued('identify', 'with_erasures', this if is_incremental() else none) }}
