-- Messages that were sent and are still pending: the requests failed for a passing reason.
with pending as (

    select
        message_id,
        entity,
        entity_id,
        event,
        message
    from {{ ref('segment_identify_outbox') }}
    union all
    select
        message_id,
        entity,
        entity_id,
        event,
        message
    from {{ ref('segment_track_outbox') }}

),

attempts as (

    select
        arrayJoin(message_ids) as message_id,
        messages = 1 and outcome != 'rejected' as is_alone,
        started_at,
        reason_code,
        detail
    from {{ source('segment_delivery', 'segment_delivery_attempts') }}
    where outcome != 'accepted'

),

failed as (

    select
        message_id,
        count() as requests,
        countIf(is_alone) as requests_alone,
        min(started_at) as first_at,
        max(started_at) as last_at,
        argMax(reason_code, started_at) as last_code,
        argMax(detail, started_at) as last_detail
    from attempts
    where message_id in (select message_id from pending)
    group by message_id

)

select
    pending.entity as entity_type,
    pending.entity_id as entity_id,
    pending.event as event_type,
    failed.last_code as error_code,
    concat(
        'Not delivered yet, the next run sends it again. Requests: ',
        toString(failed.requests),
        ' (', toString(failed.requests_alone), ' with this message only), the last at ',
        formatDateTime(failed.last_at, '%F %T'), ' UTC. ', failed.last_detail
    ) as detail,
    pending.message as payload,
    failed.first_at as created_at,
    failed.requests as retry_count
from pending
inner join failed on pending.message_id = failed.message_id
