-- Messages that Segment will not take, with their text; also those marked as dealt with.
-- Only the last message of each entity and event: a later one has taken its place.
with ledger as (

    -- As a setting, because unit tests put a query in the table's place.
    select *
    from {{ source('segment_delivery', 'segment_delivery_ledger') }}
    settings final = 1

),

events as (

    select
        message_id,
        entity_id,
        event,
        enqueued_at,
        message
    from {{ ref('segment_identify_events') }}
    union all
    select
        message_id,
        entity_id,
        event,
        enqueued_at,
        message
    from {{ ref('segment_track_events') }}

),

refused as (

    select *
    from ledger
    where status in ('rejected', 'resolved')

),

last_events as (

    select *
    from events
    where entity_id in (select entity_id from refused)
    order by enqueued_at desc
    limit 1 by entity_id, event

)

select
    refused.entity as entity_type,
    refused.entity_id as entity_id,
    refused.event as event_type,
    refused.reason_code as error_code,
    refused.detail as detail,
    last_events.message as payload,
    refused.recorded_at as created_at,
    refused.attempt as retry_count
from refused
inner join last_events on refused.message_id = last_events.message_id
