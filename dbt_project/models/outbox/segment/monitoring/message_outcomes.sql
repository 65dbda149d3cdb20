-- What became of the last message of each customer, sale and refund; the worst of them counts
-- where one entity has several.
with ledger as (

    -- As a setting, because unit tests put a query in the table's place.
    select
        message_id,
        toString(status) as status,
        reason_code
    from {{ source('segment_delivery', 'segment_delivery_ledger') }}
    settings final = 1

),

purges as (

    select
        call,
        max(purged_until) as last_purged_until
    from {{ source('segment_delivery', 'segment_delivery_purges') }}
    group by call

),

events as (

    select
        call,
        entity,
        entity_id,
        event,
        message_id,
        enqueued_at,
        entered_at
    from {{ ref('segment_identify_events') }}
    union all
    select
        call,
        entity,
        entity_id,
        event,
        message_id,
        enqueued_at,
        entered_at
    from {{ ref('segment_track_events') }}

),

last_events as (

    select
        call,
        entity,
        entity_id,
        argMax(message_id, enqueued_at) as last_message_id,
        argMax(entered_at, enqueued_at) as last_entered_at,
        max(enqueued_at) as last_enqueued_at
    from events
    group by call, entity, entity_id, event

),

states as (

    select
        last_events.*,
        multiIf(
            ledger.status in ('rejected', 'resolved'), ledger.status,
            -- Without a ledger row it was settled all the same if that may have been purged.
            ledger.status = '' and last_events.last_enqueued_at > purges.last_purged_until,
            'pending',
            'sent'
        ) as state,
        if(state = 'rejected', ledger.reason_code, '') as state_reason
    from last_events
    left join ledger on last_events.last_message_id = ledger.message_id
    left join purges on last_events.call = purges.call

)

select
    entity,
    entity_id,
    argMin(state, indexOf(['rejected', 'pending', 'resolved', 'sent'], state)) as outcome,
    argMin(state_reason, indexOf(['rejected', 'pending', 'resolved', 'sent'], state)) as reason,
    max(last_entered_at) as entered_at
from states
group by entity, entity_id
