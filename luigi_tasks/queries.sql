-- The queries of this package. A query begins with a line "-- name:"; the comment under it says
-- what it is for. {database} and other identifiers are parameters, bound by the server.

-- name: create_markers
-- One row per finished task. The window lets a repeated insert be dropped.
create table if not exists {database:Identifier}.luigi_markers $on_cluster
(
    task_id String,
    task_family LowCardinality(String),
    params String,
    rows UInt64,
    completed_at DateTime64(3, 'UTC')
)
engine = ${replicated}ReplacingMergeTree(completed_at)
order by task_id
settings ${deduplication_window} = 1000

-- name: marker_exists
-- Presence is enough, so no FINAL: any row of the task that is young enough.
select 1
from {database:Identifier}.luigi_markers
where task_id = {task_id:String} and completed_at >= {not_before:DateTime64(3, 'UTC')}
limit 1

-- name: marker_params
-- What the latest marker of a task says about its work.
select params
from {database:Identifier}.luigi_markers
where task_id = {task_id:String} and completed_at >= {not_before:DateTime64(3, 'UTC')}
order by completed_at desc
limit 1

-- name: last_build
-- What the last BuildOutbox noted, and the ids of the builds that came to their end last, for each call.
select
    (
        select argMax(params, completed_at)
        from {database:Identifier}.luigi_markers
        where task_family = 'BuildOutbox'
    ) as params,
    (
        select groupArray(last_id)
        from (
            select argMax(dbt_invocation_id, finished_at) as last_id
            from {database:Identifier}.segment_build_progress
            group by call
        )
    ) as finished

-- name: landing_columns
-- Of each landing table, in their order.
select table, name, type
from system.columns
where database = {database:String}
order by table, position

-- name: outbox_cut
-- What a send task takes on: all that is pending of its shard when it starts, but for the builds
-- that are held back. All messages of a user are in one shard. min and max of nothing: the epoch.
select count(), min(enqueued_at), max(enqueued_at)
from {database:Identifier}.{outbox:Identifier}
where not has({held_back:Array(String)}, dbt_invocation_id)
    and cityHash64(if(user_id = '', anonymous_id, user_id)) % {shards:UInt16} = {shard:UInt16}

-- name: outbox_builds
-- The builds that pending messages of a shard come from.
select distinct dbt_invocation_id
from {database:Identifier}.{outbox:Identifier}
where cityHash64(if(user_id = '', anonymous_id, user_id)) % {shards:UInt16} = {shard:UInt16}

-- name: outbox_page
-- The next messages after a key. Which ones is asked of the outbox; their texts are read from the
-- events table by key, because the outbox would read those of all that is pending. The first condition
-- repeats a part of the second in a form that the primary key can use.
--
-- `lane` divides the users of a shard. `ledger_line` is the message's part of its row in the ledger.
-- `is_plain` is true only for messages that luigi_tasks/preflight.py would certainly pass, but for
-- their size; those in doubt are looked at there. ClickHouse's parser reads numbers as floats, so a
-- text that it writes again as it was has no number that a float would change, and no odd escapes.
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
                and not has({held_back:Array(String)}, dbt_invocation_id)
                and cityHash64(if(user_id = '', anonymous_id, user_id)) % {shards:UInt16}
                    = {shard:UInt16}
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
        ) as is_plain
from page
order by enqueued_at, message_id

-- name: outbox_by_event
-- How much of each event is pending.
select event, count() as messages, sum(message_bytes) as bytes
from {database:Identifier}.{outbox:Identifier}
group by event
order by event

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
-- beyond the youngest message that was ever due, and behind the clock by the lag.
with
    (
        select max(settled_until)
        from {database:Identifier}.segment_outbox_watermarks
        where call = {call:String}
    ) as settled,
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
    least(youngest, before_pending, now64(6, 'UTC') - toIntervalSecond({lag:UInt32})) as proposed

-- name: run_deliveries
-- What the ledger says about the runs of a slot and a call, per event. The lower bound is the
-- oldest message that they took on: without it the whole ledger would be read.
select
    event,
    uniqExactIf(message_id, status = 'accepted') as accepted,
    uniqExactIf(message_id, status = 'rejected') as rejected
from {database:Identifier}.segment_delivery_ledger
where has({run_ids:Array(UUID)}, run_id) and call = {call:String} and slot = {slot:DateTime('UTC')}
    and enqueued_at >= {first_enqueued_at:DateTime64(6, 'UTC')}
    and sent_at >= {started_at:DateTime64(3, 'UTC')}
group by event
order by event

-- name: run_requests
-- The requests of the runs of a slot and a call.
select
    count() as requests,
    countIf(outcome != 'accepted') as not_accepted,
    sum(bytes) as bytes,
    sum(duration_ms) / 1000 as seconds
from {database:Identifier}.segment_delivery_attempts
where has({run_ids:Array(UUID)}, run_id) and call = {call:String} and slot = {slot:DateTime('UTC')}
    and started_at >= {started_at:DateTime64(3, 'UTC')}

-- name: run_rejections
-- Why messages of the runs of a slot and a call were rejected.
select event, reason_code, uniqExact(message_id) as messages, any(detail) as example
from {database:Identifier}.segment_delivery_ledger
where has({run_ids:Array(UUID)}, run_id) and call = {call:String} and slot = {slot:DateTime('UTC')}
    and status = 'rejected'
    and enqueued_at >= {first_enqueued_at:DateTime64(6, 'UTC')}
    and sent_at >= {started_at:DateTime64(3, 'UTC')}
group by event, reason_code
order by messages desc
limit 20

-- name: delivery_summary
-- What was delivered and what is pending, over all runs.
select call, event, status, messages, last_at
from {database:Identifier}.segment_delivery_summary
order by call, event, status

-- name: open_failures
-- What should go out and does not, by reason.
select
    error_category,
    if(event_type = '', entity_type, event_type) as event,
    error_code,
    count() as failures,
    any(entity_id) as example
from {database:Identifier}.segment_failed_events
where not resolved
group by error_category, event, error_code
order by failures desc, error_code

-- name: accepted_lately
-- One row when Segment accepted a request in the last day: key and address were good then.
select 1
from {database:Identifier}.segment_delivery_attempts
where outcome = 'accepted' and started_at > now64(3, 'UTC') - interval 1 day
limit 1

-- name: brake_pending
-- Pending messages of each call that nobody has said to send anyway, and the youngest of them.
select call, count() as messages, max(enqueued_at) as last
from (
    select call, enqueued_at from {database:Identifier}.segment_identify_outbox
    union all
    select call, enqueued_at from {database:Identifier}.segment_track_outbox
)
where enqueued_at > {approved_until:DateTime64(6, 'UTC')}
group by call

-- name: brake_customers
-- Customers known to Segment, and those of them who are pending. Known is who is settled below the
-- watermark, where ledger rows may have been purged, or was accepted above it.
with
    (
        select max(settled_until)
        from {database:Identifier}.segment_outbox_watermarks
        where call = 'identify'
    ) as watermark
select
    uniqCombined(entity_id) as known,
    uniqCombinedIf(entity_id, entity_id in (
        select entity_id
        from {database:Identifier}.segment_identify_outbox
        where enqueued_at > {approved_until:DateTime64(6, 'UTC')}
    )) as resent
from (
    select entity_id
    from {database:Identifier}.segment_identify_events
    where enqueued_at <= watermark
    union all
    select entity_id
    from {database:Identifier}.segment_delivery_ledger
    where call = 'identify' and status = 'accepted' and enqueued_at > watermark
)

-- name: brake_usual_days
-- Per call the days of the last four weeks, but for today, on which settled messages had entered
-- the outbox, and the messages of the day in their middle.
select call, count() as days, median(messages) as usual
from (
    select call, toDate(enqueued_at) as day, count() as messages
    from {database:Identifier}.segment_delivery_ledger
    where enqueued_at >= toStartOfDay(now('UTC')) - interval 28 day
        and enqueued_at < toStartOfDay(now('UTC'))
        and status in ('accepted', 'rejected')
    group by call, day
)
group by call

-- name: forecast_messages
-- Pending messages per event by what came before them: nothing, another content, or the same content
-- (requeued). What is before an Order Updated is the order's last state that was due.
with
    pending as (
        select
            event, entity_id, message_bytes, payload_hash, enqueued_at,
            if(event = 'Order Updated', 'Order Completed', event) as chain
        from {database:Identifier}.{outbox:Identifier}
    ),
    earlier as (
        select
            entity_id, payload_hash, enqueued_at,
            if(event = 'Order Updated', 'Order Completed', event) as chain
        from {database:Identifier}.{events:Identifier}
        where entity_id in (select entity_id from pending)
    )
select
    pending.event as event,
    countIf(earlier.payload_hash = '') as new,
    countIf(earlier.payload_hash not in ('', pending.payload_hash)) as changed,
    countIf(earlier.payload_hash != '' and earlier.payload_hash = pending.payload_hash) as again,
    sum(pending.message_bytes) as bytes
from pending
asof left join earlier
    on pending.entity_id = earlier.entity_id and pending.chain = earlier.chain
        and pending.enqueued_at > earlier.enqueued_at
group by event
order by event

-- name: forecast_unchanged
-- Customers and orders per event with nothing pending: their last message is settled.
select event, uniqExact(entity_id) as entities
from {database:Identifier}.{events:Identifier}
where entity_id not in (select entity_id from {database:Identifier}.{outbox:Identifier})
group by event

-- name: forecast_held
-- What should go out, breaks a rule and waits for somebody to mend it, per event.
select event_type, count() as failures
from {database:Identifier}.segment_failed_events
where error_category = 'validation' and not resolved and event_type != ''
group by event_type

-- name: forecast_changes
-- Some of the pending messages that change what was due before, with both texts, oldest first.
with
    pending as (
        select
            message, event, entity, entity_id, payload_hash, enqueued_at, message_id,
            if(event = 'Order Updated', 'Order Completed', event) as chain
        from {database:Identifier}.{outbox:Identifier}
    ),
    earlier as (
        select
            message_id, entity_id, payload_hash, enqueued_at,
            if(event = 'Order Updated', 'Order Completed', event) as chain
        from {database:Identifier}.{events:Identifier}
        where entity_id in (select entity_id from pending)
    ),
    changes as (
        select
            pending.event as event, pending.entity as entity, pending.entity_id as entity_id,
            pending.message as message, pending.enqueued_at as enqueued_at,
            earlier.message_id as before_id
        from pending
        asof inner join earlier
            on pending.entity_id = earlier.entity_id and pending.chain = earlier.chain
                and pending.enqueued_at > earlier.enqueued_at
        where pending.payload_hash != earlier.payload_hash
        order by pending.enqueued_at, pending.message_id
        limit {samples:UInt32} by event
    )
select changes.event, changes.entity, changes.entity_id, before.message, changes.message
from changes
inner join
    (
        select message_id, message
        from {database:Identifier}.{events:Identifier}
        where message_id in (select before_id from changes)
    ) as before on before.message_id = changes.before_id
order by changes.enqueued_at

-- name: forecast_users
-- Users of the pending messages, and those of them to whom nothing was sent in this calendar month:
-- Segment bills each user once a month.
with
    pending as (
        select if(user_id = '', anonymous_id, user_id) as user
        from {database:Identifier}.segment_identify_outbox
        union all
        select if(user_id = '', anonymous_id, user_id) as user
        from {database:Identifier}.segment_track_outbox
    ),
    sent as (
        select enqueued_at, message_id
        from {database:Identifier}.segment_delivery_ledger
        where status = 'accepted' and sent_at >= toStartOfMonth(now('UTC'))
    ),
    billed as (
        select if(user_id = '', anonymous_id, user_id) as user
        from {database:Identifier}.segment_identify_events
        where (enqueued_at, message_id) in (select enqueued_at, message_id from sent)
        union all
        select if(user_id = '', anonymous_id, user_id) as user
        from {database:Identifier}.segment_track_events
        where (enqueued_at, message_id) in (select enqueued_at, message_id from sent)
    )
select
    uniqExact(user) as users,
    uniqExactIf(user, user not in (select user from billed)) as first_this_month
from pending

-- name: create_leases
-- Claims to the leases of building and sending, and their signs of life. Nothing merges them, so
-- every row counts from the moment of its insert; see luigi_tasks/lease.py.
create table if not exists {database:Identifier}.segment_delivery_leases $on_cluster
(
    name LowCardinality(String),
    owner UUID,
    released UInt8,
    machine String,
    pid UInt32,
    process_started_at Float64,
    run_id UUID,
    call LowCardinality(String),
    first_enqueued_at DateTime64(6, 'UTC'),
    last_enqueued_at DateTime64(6, 'UTC'),
    recorded_at DateTime64(6, 'UTC'),
    expires_at DateTime64(6, 'UTC')
)
engine = ${replicated}MergeTree
order by (name, recorded_at)
ttl toDateTime(recorded_at) + interval 30 day

-- name: lease_write
-- A claim, a sign of life, or the end of a claim. The server's clock says until when it counts.
insert into {database:Identifier}.segment_delivery_leases
select
    {lease:String}, {owner:UUID}, {released:UInt8}, {machine:String}, {pid:UInt32},
    {process_started_at:Float64}, {run_id:UUID}, {call:String},
    {first_enqueued_at:DateTime64(6, 'UTC')}, {last_enqueued_at:DateTime64(6, 'UTC')},
    now64(6, 'UTC'), now64(6, 'UTC') + toIntervalMillisecond({lifetime_ms:UInt32})

-- name: lease_claims
-- The claims that are alive: neither given back nor expired.
select
    owner,
    any(machine) as machine,
    any(pid) as pid,
    any(process_started_at) as process_started_at,
    any(run_id) as run_id,
    min(recorded_at) as since,
    any(name) as name
from {database:Identifier}.segment_delivery_leases
where recorded_at > now64(6, 'UTC') - interval 1 day
group by owner
having max(released) = 0 and max(expires_at) > now64(6, 'UTC')
order by since

-- name: lease_ends
-- The claims of the last day but for the own one, whether they are this process's, and for how many
-- seconds each has certainly not been held. One that was not given back may have been held until
-- just now, unless it has expired.
select name, is_own, if(released or age > {lifetime:Float64}, age, 0) as ago
from (
    select
        any(name) as name,
        max(machine = {machine:String} and pid = {pid:UInt32}) as is_own,
        max(released) as released,
        dateDiff('microsecond', max(recorded_at), now64(6, 'UTC')) / 1e6 as age
    from {database:Identifier}.segment_delivery_leases
    where recorded_at > now64(6, 'UTC') - interval 1 day and owner != {owner:UUID}
    group by owner
)
order by ago

-- name: outbox_in_doubt
-- Pending messages of a shard that may have arrived: those of requests without a clear answer, and
-- those that a sender was about to send when it died. How many, since when, and how many for too
-- long. A sender's lease is named after its shard, `delivery/2/4`; without numbers it had them all.
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
            having max(released) = 0 and argMax(call, recorded_at) = {call:String}
        ) as died
        where outbox.enqueued_at between died.first and died.last
            and outbox.user_hash % died.shards = died.shard
    )
    group by message_id
)

-- name: explain_find
-- Customers and documents that a number stands for: SID, CUST_ID or DOC_NO as exported.
select 'customer' as entity, trim(SID) as sid
from {database:Identifier}.base_retail_pro__customers
where trim(SID) = {number:String} or trim(CUST_ID) = {number:String}
union distinct
select 'order' as entity, trim(SID) as sid
from {database:Identifier}.base_retail_pro__documents
where trim(SID) = {number:String} or trim(DOC_NO) = {number:String}
union distinct
select toString(entity) as entity, entity_id as sid
from {database:Identifier}.segment_identify_events
where entity_id = {number:String}
union distinct
select toString(entity) as entity, entity_id as sid
from {database:Identifier}.segment_track_events
where entity_id = {number:String}
order by entity, sid
limit 20

-- name: explain_rejected_lines
-- Lines of an export that could not be read and hold a number.
select table_name, file, line, reason
from {database:Identifier}.rejected_rows
where position(text, {number:String}) > 0
order by loaded_at desc
limit 5

-- name: explain_landing
-- The rows of the export with a SID, the latest first.
select _file, _line, _loaded_at
from {database:Identifier}.{base:Identifier}
where trim(SID) = {sid:String}
order by _loaded_at desc, _line desc
limit 20

-- name: explain_customer
-- What keeps a customer from being sent.
select 'Identify' as event, exclusion_reason, failure_code
from {database:Identifier}.customers
where source_sid = {sid:String}

-- name: explain_document
-- The events that a document stands for, or why it stands for none, and what keeps them back.
select
    multiIf(orders.kind = 'sale', 'Order Completed', orders.kind = 'return', 'Order Refunded', '')
        as event,
    coalesce(documents.non_event_reason, orders.exclusion_reason) as reason,
    orders.failure_code as failure_code
from {database:Identifier}.int_document_states as documents final
left join {database:Identifier}.orders as orders
    on documents.row_key = orders.row_key and documents.buyer_sid = orders.buyer_sid
where documents.source_sid = {sid:String}
settings join_use_nulls = 1

-- name: explain_failures
-- What segment_failed_events says of an entity.
select event_type, error_category, error_code, error_message, resolved
from {database:Identifier}.segment_failed_events
where entity_id = {sid:String} and entity_type = {entity:String}

-- name: explain_messages
-- All messages of an entity, oldest first, with what the ledger says of them; no status: purged.
with
    messages as (
        select event, enqueued_at, message_id
        from {database:Identifier}.{events:Identifier}
        where entity_id = {sid:String}
    ),
    ledger as (
        select message_id, status, reason_code, detail, attempt, sent_at
        from {database:Identifier}.segment_delivery_ledger final
        where (enqueued_at, message_id) in (select enqueued_at, message_id from messages)
    )
select
    messages.event,
    messages.enqueued_at,
    lower(replaceAll(toString(messages.message_id), '-', '')),
    multiIf(
        messages.message_id in (select message_id from {database:Identifier}.{outbox:Identifier}),
        'pending',
        ledger.message_id = messages.message_id, toString(ledger.status),
        'purged'
    ),
    ledger.sent_at,
    ledger.reason_code,
    ledger.detail
from messages
left join ledger on messages.message_id = ledger.message_id
order by messages.enqueued_at

-- name: explain_attempts
-- The last requests that had a message of an entity in them: the one that settled it, and those
-- that were not accepted.
with messages as (
    select enqueued_at, message_id
    from {database:Identifier}.{events:Identifier}
    where entity_id = {sid:String}
)
select started_at, toString(outcome), http_status, reason_code, detail
from {database:Identifier}.segment_delivery_attempts
where arrayExists(id -> id in (select message_id from messages), message_ids)
    or (outcome = 'accepted' and batch_id in (
        select batch_id
        from {database:Identifier}.segment_delivery_ledger
        where (enqueued_at, message_id) in (select enqueued_at, message_id from messages)
    ))
order by started_at desc
limit 20
