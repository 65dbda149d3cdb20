-- Valid JSON with somebody to belong to, the row's own ids, no null (which erases a trait at
-- Segment: said of a customer who has no sales any more, else only if the variable
-- erase_emptied_traits is true) and a type that fits the call.
with messages as (

    select * from {{ ref('segment_identify_outbox') }}
    union all
    select * from {{ ref('segment_track_outbox') }}

),

read_back as (

    select
        *,
        JSONExtractString(message, 'userId') as sent_user_id,
        JSONExtractString(message, 'anonymousId') as sent_anonymous_id
    from messages

)

select
    message_id,
    message
from read_back
where
    not isValidJSON(message)
    or (sent_user_id = '' and sent_anonymous_id = '')
    or sent_user_id != user_id
    or sent_anonymous_id != anonymous_id
    or JSONExtractString(message, 'type') != call
    -- A null outside of quoted text. An identify may have one to erase a trait.
    or (
        not ({{ var('erase_emptied_traits') }} and call = 'identify')
        and match(
            replaceRegexpAll(
                if(
                    call = 'identify', replaceRegexpAll(
                        message, '"(averageOrderValue|firstOrderAt|lastOrderAt)":null,?', ''
                    ), message
                ), '"(\\\\.|[^"\\\\])*"', ''
            ), 'null'
        )
    )
    or not match(
        JSONExtractString(message, 'timestamp'),
        '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.][0-9]{3}Z$'
    )
