{{ config(**event_table()) }}

with customers as (

    select
        *,
        lower(hex(MD5(body))) as payload_hash
    from {{ ref('identify') }}

),

latest as (

    {{ latest_events() }}

),

-- The version hashes the one before it too: a customer who changes back to an
-- earlier state must not get that state's id, which Segment would drop.
due as (

    select
        customers.* except (payload_hash),
        lower(hex(MD5(concat(
            customers.payload_hash,
            if(latest.entity_id = '', '', replaceAll(toString(latest.message_id), '-', ''))
        )))) as version,
        latest.generation as generation
    from customers
    left join latest on customers.entity_id = latest.entity_id
    where customers.payload_hash != latest.payload_hash

)

{{ enqueued('due') }}
