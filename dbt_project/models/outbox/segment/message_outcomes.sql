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

pending as (

    select message_id from {{ ref('segment_identify_outbox') }}
    union all
    select message_id from {{ ref('segment_track_outbox') }}

),

events as (

    select
        entity,
        entity_id,
        event,
        message_id,
        enqueued_at
    from {{ ref('segment_identify_events') }}
    union all
    select
        entity,
        entity_id,
        event,
        message_id,
        enqueued_at
    from {{ ref('segment_track_events') }}

),

last_events as (

    select
        entity,
        entity_id,
        argMax(message_id, enqueued_at) as last_message_id,
        max(enqueued_at) as last_enqueued_at
    from events
    group by entity, entity_id, event

),

states as (

    select
        last_events.*,
        multiIf(
            ledger.status in ('rejected', 'resolved'), ledger.status,
            last_events.last_message_id in (select message_id from pending), 'pending',
            -- Without a ledger row too: that of an old message may have been purged.
            'sent'
        ) as state,
        if(state = 'rejected', ledger.reason_code, '') as state_reason
    from last_events
    left join ledger on last_events.last_message_id = ledger.message_id

)

select
    entity,
    entity_id,
    argMin(state, indexOf(['rejected', 'pending', 'resolved', 'sent'], state)) as outcome,
    argMin(state_reason, indexOf(['rejected', 'pending', 'resolved', 'sent'], state)) as reason,
    max(last_enqueued_at) as enqueued_at
from states
group by entity, entity_id
