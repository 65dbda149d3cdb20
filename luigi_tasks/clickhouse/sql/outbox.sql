-- The outbox: what is pending, and what of it may have arrived.

-- name: outbox_cut
-- What a send task takes on: all that is pending of its shard when it starts, but for the orders of
-- users whose identify is pending too. All messages of a user are in one shard. min and max of
-- nothing: the epoch.
select count(), min(enqueued_at), max(enqueued_at)
from {database:Identifier}.{outbox:Identifier}
where cityHash64(if(user_id = '', anonymous_id, user_id)) % {shards:UInt16} = {shard:UInt16}
    and user_id not in (
        select user_id
        from {database:Identifier}.segment_identify_outbox
        where {call:String} = 'track'
            and cityHash64(user_id) % {shards:UInt16} = {shard:UInt16}
    )

-- name: outbox_page
-- The next messages after a key. Which ones is asked of the outbox; their texts are read from the
-- events table by key, because the outbox would read those of all that is pending. The first condition
-- repeats a part of the second in a form that the primary key can use.
--
-- `lane` divides the users of a shard. `ledger_line` is the message's part of its row in the ledger.
-- `is_plain` is true only for messages that luigi_tasks/delivery/preflight.py would certainly pass, but for
-- their size; those in doubt are looked at there. ClickHouse's parser reads numbers as floats, so a
-- text that it writes again as it was has no number that a float would change, and no odd escapes.
-- `is_suppressed` is as the list of suppressed users is now, whoever was on it when the message entered.
with
    page as (
        select
            *,
            JSONExtractKeysAndValuesRaw(message) as fields,
            cast(fields, 'Map(String, String)') as raw
        from {database:Identifier}.{events:Identifier}
        where (enqueued_at, message_id) in (
            select enqueued_at, message_id
            from {database:Identifier}.{outbox:Identifier}
            where enqueued_at >= {after_at:DateTime64(6, 'UTC')}
                and (enqueued_at, message_id) > ({after_at:DateTime64(6, 'UTC')}, {after_id:UUID})
                and enqueued_at <= {last:DateTime64(6, 'UTC')}
                and cityHash64(if(user_id = '', anonymous_id, user_id)) % {shards:UInt16}
                    = {shard:UInt16}
                and user_id not in (
                    select user_id
                    from {database:Identifier}.segment_identify_outbox
                    where {call:String} = 'track'
                        and cityHash64(user_id) % {shards:UInt16} = {shard:UInt16}
                )
            order by enqueued_at, message_id
            limit {size:UInt32}
        )
    )
select
    replaceAll(toString(message_id), '-', '') as message_hex,
    call,
    event,
    entity,
    entity_id,
    message,
    toUnixTimestamp64Micro(enqueued_at) as enqueued_us,
    formatRowNoNewline(
        'TabSeparated', message_id, call, event, entity, entity_id, message_bytes, payload_hash,
        enqueued_at, dbt_invocation_id
    ) as ledger_line,
    intDiv(cityHash64(if(user_id = '', anonymous_id, user_id)), {shards:UInt16}) % {lanes:UInt16}
        as lane,
    raw['messageId'] = concat('"', message_hex, '"')
        and raw['type'] = concat('"', call, '"')
        and match(concat(raw['userId'], raw['anonymousId']), '^("[0-9A-Za-z][^"\\\\]*"){1,2}$')
        and (call != 'track' or match(raw['event'], '^"[0-9A-Za-z]'))
        and (raw['properties'] = '' or startsWith(raw['properties'], '{'))
        and (raw['traits'] = '' or startsWith(raw['traits'], '{'))
        and length(arrayDistinct(fields.1)) = length(fields.1)
        and countSubstrings(message, '{') + countSubstrings(message, '[') < 500
        and message = concat(
            '{',
            arrayStringConcat(
                arrayMap((name, value) -> concat('"', name, '":', value), fields.1, fields.2), ','
            ),
            '}'
        ) as is_plain,
    if(user_id = '', concat('guest ', entity_id), user_id) as user,
    user_id != '' and user_id in (
        select trim(suppressed_users.user_id) from {database:Identifier}.suppressed_users
    ) as is_suppressed
from page
order by enqueued_at, message_id

-- name: outbox_by_event
-- How much of each event is pending.
select event, count() as messages, sum(message_bytes) as bytes
from {database:Identifier}.{outbox:Identifier}
group by event
order by event

-- name: held_by_event
-- What should go out, breaks a rule and waits for somebody to fix it, per event. Found by indexes:
-- the view segment_failed_events, which lists it with more, reads the whole history.
select event_type, count() as held
from (
    select 'order' as entity_type, entity_id, event_type, error_code
    from {database:Identifier}.unsendable_orders
    union all
    select 'customer', source_sid, 'Identify', assumeNotNull(failure_code)
    from {database:Identifier}.customers
    where ifNull(failure_code, '') != '' and exclusion_reason is null
)
where (entity_type, entity_id, error_code) not in (
    select entity, entity_id, reason_code
    from {database:Identifier}.segment_delivery_ledger
    where status = 'resolved' and event = ''
)
group by event_type

-- name: outbox_samples
-- A few of the oldest pending messages of each event, for a dry run to show.
select
    replaceAll(toString(message_id), '-', '') as message_hex,
    call,
    event,
    entity,
    entity_id,
    message
from {database:Identifier}.{outbox:Identifier}
order by enqueued_at, message_id
limit {per_event:UInt32} by event

-- name: watermark_proposal
-- The watermark now, and the highest one that is safe: before the oldest pending message, not
-- beyond the youngest message that was ever due, and by the lag behind the time at which new messages
-- are placed, which is that of the youngest where the clock was ahead before. At last the time of this
-- record, later than that of all before it.
with
    (
        select max(settled_until)
        from {database:Identifier}.segment_outbox_watermarks
        where call = {call:String}
    ) as settled,
    (
        select max(updated_at) + toIntervalMicrosecond(1)
        from {database:Identifier}.segment_outbox_watermarks
        where call = {call:String}
    ) as last_updated,
    (
        select max(enqueued_at)
        from {database:Identifier}.{events:Identifier}
        where enqueued_at >= settled
    ) as youngest,
    (
        select if(count() = 0, youngest, min(enqueued_at) - toIntervalMicrosecond(1))
        from {database:Identifier}.{outbox:Identifier}
    ) as before_pending
select
    settled,
    least(
        youngest,
        before_pending,
        greatest(now64(6, 'UTC'), youngest) - toIntervalSecond({lag:UInt32})
    ) as proposed,
    greatest(now64(6, 'UTC'), last_updated) as updated_at

-- name: outbox_watermark
-- The watermark, and the clock that it should be behind.
select max(settled_until) as watermark, now64(6, 'UTC') as now
from {database:Identifier}.segment_outbox_watermarks
where call = {call:String}

-- name: outbox_left_behind
-- How many messages lie below the watermark and have no ledger row, and the oldest of them: no sync
-- sends them. Only those of the last two months in which messages entered; dbt run-operation reconcile
-- looks at all. What entered before a purge has lost its rows there.
with
    (
        select max(settled_until)
        from {database:Identifier}.segment_outbox_watermarks
        where call = {call:String}
    ) as settled,
    (
        select max(purged_until)
        from {database:Identifier}.segment_delivery_purges
        where call = {call:String}
    ) as purged,
    (
        select max(enqueued_at) from {database:Identifier}.{events:Identifier}
    ) as youngest,
    (
        select enqueued_at
        from {database:Identifier}.{events:Identifier}
        where enqueued_at < toStartOfMonth(youngest)
        order by enqueued_at desc
        limit 1
    ) as month_before,
    greatest(toDateTime64(toStartOfMonth(ifNull(month_before, youngest)), 6, 'UTC'), purged) as since
select count(), min(due.enqueued_at)
from (
    select enqueued_at, message_id
    from {database:Identifier}.{events:Identifier}
    where enqueued_at > since and enqueued_at <= settled
) as due
left join (
    select enqueued_at, message_id
    from {database:Identifier}.segment_delivery_ledger
    where enqueued_at > since and enqueued_at <= settled
) as ledger on due.enqueued_at = ledger.enqueued_at and due.message_id = ledger.message_id
where ledger.message_id is null
settings join_use_nulls = 1, join_algorithm = 'full_sorting_merge'

-- name: outbox_in_doubt
-- Pending messages of a shard that may have arrived: those of requests without a clear answer, and
-- those that a sender was about to send when it died or could not record the answers. How many,
-- since when, and how many for too long. A sender's lease is named after its shard, `delivery/2/4`;
-- without numbers it had them all.
with outbox as (
    select
        message_id, enqueued_at,
        cityHash64(if(user_id = '', anonymous_id, user_id)) as user_hash
    from {database:Identifier}.{outbox:Identifier}
    where user_hash % {shards:UInt16} = {shard:UInt16}
)
select
    count() as messages,
    min(since) as oldest,
    countIf(since < now64(6, 'UTC') - toIntervalSecond({window:UInt32})) as too_old
from (
    select message_id, min(since) as since
    from (
        select outbox.message_id as message_id, tried.started_at as since
        from outbox
        inner join (
            select arrayJoin(message_ids) as message_id, toDateTime64(started_at, 6) as started_at
            from {database:Identifier}.segment_delivery_attempts
            where call = {call:String} and outcome = 'unknown'
                and started_at > now64(3, 'UTC') - interval 30 day
        ) as tried on outbox.message_id = tried.message_id
        union all
        select outbox.message_id as message_id, died.at as since
        from outbox
        cross join (
            select
                greatest(toUInt16OrZero(splitByChar('/', any(name))[3]), 1) as shards,
                toUInt16OrZero(splitByChar('/', any(name))[2]) as shard,
                argMax(first_enqueued_at, recorded_at) as first,
                argMax(last_enqueued_at, recorded_at) as last,
                max(recorded_at) as at
            from {database:Identifier}.segment_delivery_leases
            where owner != {owner:UUID}
            group by owner
            having max(released = 1) = 0 and argMax(call, recorded_at) = {call:String}
        ) as died
        where outbox.enqueued_at between died.first and died.last
            and outbox.user_hash % died.shards = died.shard
    )
    group by message_id
)

-- name: outbox_failed_alone
-- Pending messages of a shard whose request failed when no other message was in it, in an hour in
-- which Segment accepted others: how often, and since when. In an outage single messages ask whether
-- Segment is back, which does not count.
with
    failed as (
        select arrayJoin(message_ids) as message_id, started_at
        from {database:Identifier}.segment_delivery_attempts
        where call = {call:String} and messages = 1 and outcome in ('retryable', 'unknown')
            and (outcome = 'unknown' or http_status > 0)
            and http_status != 429 and reason_code != 'oauth_unavailable'
            and started_at > now64(3, 'UTC') - toIntervalDay({days:UInt16})
    ),
    tries as (
        select message_id, count() as tries, min(started_at) as since
        from failed
        where toStartOfHour(started_at) in (
            select toStartOfHour(started_at)
            from {database:Identifier}.segment_delivery_attempts
            where outcome = 'accepted'
                and started_at > now64(3, 'UTC') - toIntervalDay({days:UInt16})
        )
        group by message_id
    )
select
    lower(replaceAll(toString(outbox.message_id), '-', '')) as message_hex,
    if(outbox.user_id = '', concat('guest ', outbox.entity_id), outbox.user_id) as user,
    tries.tries,
    tries.since
from {database:Identifier}.{outbox:Identifier} as outbox
inner join tries on outbox.message_id = tries.message_id
where cityHash64(if(user_id = '', anonymous_id, user_id)) % {shards:UInt16} = {shard:UInt16}
order by tries.tries, tries.since, message_hex
