-- Messages that Segment will not take, with their text; also those marked as dealt with.
with ledger as (

    -- As a setting, because unit tests put a query in the table's place.
    select *
    from {{ source('segment_delivery', 'segment_delivery_ledger') }}
    settings final = 1

),

events as (

    select
        message_id,
        message
    from {{ ref('segment_identify_events') }}
    union all
    select
        message_id,
        message
    from {{ ref('segment_track_events') }}

)

select
    ledger.entity as entity_type,
    ledger.entity_id as entity_id,
    ledger.event as event_type,
    ledger.reason_code as error_code,
    ledger.detail as detail,
    events.message as payload,
    ledger.recorded_at as created_at,
    ledger.attempt as retry_count
from ledger
inner join events on ledger.message_id = events.message_id
where ledger.status in ('rejected', 'resolved')
