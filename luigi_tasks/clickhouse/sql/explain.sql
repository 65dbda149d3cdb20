-- What is known of one customer, document or message.

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
-- All messages of an entity, oldest first, with what the ledger says of them. What has no row there
-- was purged, or lies below the watermark unsettled.
with
    (
        select max(purged_until)
        from {database:Identifier}.segment_delivery_purges
        where call = {call:String}
    ) as purged,
    messages as (
        select event, enqueued_at, entered_at, message_id
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
    messages.entered_at,
    lower(replaceAll(toString(messages.message_id), '-', '')),
    multiIf(
        messages.message_id in (select message_id from {database:Identifier}.{outbox:Identifier}),
        'pending',
        ledger.message_id = messages.message_id, toString(ledger.status),
        messages.enqueued_at <= purged, 'purged',
        'left_behind'
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

-- name: explain_waits_for
-- Pending messages of the same user, of other entities, that Segment did not take when they were
-- alone in a request: this user's other messages wait for them.
with
    users as (
        select user_id
        from {database:Identifier}.{events:Identifier}
        where entity_id = {sid:String} and user_id != ''
    ),
    pending as (
        select message_id, call, event, entity, entity_id
        from {database:Identifier}.segment_identify_outbox
        where user_id in (select user_id from users) and entity_id != {sid:String}
        union all
        select message_id, call, event, entity, entity_id
        from {database:Identifier}.segment_track_outbox
        where user_id in (select user_id from users) and entity_id != {sid:String}
    ),
    alone as (
        select arrayJoin(message_ids) as message_id, reason_code, started_at
        from {database:Identifier}.segment_delivery_attempts
        where messages = 1 and outcome in ('retryable', 'unknown')
    )
select
    if(any(pending.event) = '', 'identify', any(pending.event)) as event,
    any(pending.entity) as entity,
    any(pending.entity_id) as entity_id,
    argMax(alone.reason_code, alone.started_at) as reason_code
from pending
inner join alone on pending.message_id = alone.message_id
group by pending.message_id
order by entity, entity_id
limit 5
