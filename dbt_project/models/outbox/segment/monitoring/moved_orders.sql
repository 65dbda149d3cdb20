-- Sales whose last message names somebody else than one before it: Segment has them twice.
with said as (

    select
        entity_id,
        arraySort(groupArray((enqueued_at, user_id))) as persons
    from {{ ref('segment_track_events') }}
    where
        event != 'Order Refunded'
        -- Of a message that was restored from the ledger nobody knows whose it was.
        and occurred_at > toDateTime64(0, 3, 'UTC')
    group by entity_id
    having uniqExact(user_id) > 1

)

select
    entity_id,
    tupleElement(persons[-1], 2) as user_id,
    tupleElement(arrayLast(person -> person.2 != user_id, persons), 2) as last_user_id
from said
