with ledger as (

    select *
    from {{ source('segment_delivery', 'segment_delivery_ledger') }}
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

),

pending as (

    select
        call,
        event,
        message_bytes,
        enqueued_at
    from {{ ref('segment_identify_outbox') }}
    union all
    select
        call,
        event,
        message_bytes,
        enqueued_at
    from {{ ref('segment_track_outbox') }}

)

select
    call,
    event,
    toString(status) as status,
    count() as messages,
    sum(message_bytes) as bytes,
    min(recorded_at) as first_at,
    max(recorded_at) as last_at
from ledger
group by call, event, status
union all
select
    call,
    event,
    'pending' as status,
    count() as messages,
    sum(message_bytes) as bytes,
    toDateTime64(min(enqueued_at), 3, 'UTC') as first_at,
    toDateTime64(max(enqueued_at), 3, 'UTC') as last_at
from pending
group by call, event
