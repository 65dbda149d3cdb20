-- The messageId that Segment gets is the row's id, so that a delivery can be traced back.
with messages as (

    select
        message_id,
        message
    from {{ ref('segment_identify_outbox') }}
    union all
    select
        message_id,
        message
    from {{ ref('segment_track_outbox') }}

)

select *
from messages
where JSONExtractString(message, 'messageId') != replaceAll(toString(message_id), '-', '')
