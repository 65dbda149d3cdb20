-- The tables and views that the sender reads and writes, in their simplest form, so that it can be
-- tested without a dbt build. {database} is replaced by the name of the test's database.

create database {database};

create table {database}.segment_delivery_ledger
(
    message_id UUID,
    call LowCardinality(String),
    event LowCardinality(String),
    entity LowCardinality(String),
    entity_id String,
    status Enum8('accepted' = 1, 'rejected' = 2, 'resolved' = 3, 'requeued' = 4),
    reason_code LowCardinality(String),
    detail String,
    http_status UInt16,
    attempt UInt16,
    batch_id UUID,
    message_bytes UInt32,
    payload_hash String,
    enqueued_at DateTime64(6, 'UTC'),
    slot DateTime('UTC'),
    run_id UUID,
    dbt_invocation_id String,
    sent_at DateTime64(3, 'UTC'),
    recorded_at DateTime64(3, 'UTC')
)
engine = ReplacingMergeTree(recorded_at)
partition by toYYYYMM(enqueued_at)
order by (enqueued_at, message_id)
settings non_replicated_deduplication_window = 10000;

create table {database}.segment_delivery_attempts
(
    batch_id UUID,
    run_id UUID,
    slot DateTime('UTC'),
    call LowCardinality(String),
    messages UInt32,
    bytes UInt32,
    http_status UInt16,
    outcome Enum8('accepted' = 1, 'retryable' = 2, 'rejected' = 3, 'unknown' = 4),
    reason_code LowCardinality(String),
    detail String,
    retry_after_s Float32,
    duration_ms UInt32,
    started_at DateTime64(3, 'UTC')
)
engine = MergeTree
partition by toYYYYMM(started_at)
order by (started_at, batch_id)
settings non_replicated_deduplication_window = 10000;

create table {database}.segment_outbox_watermarks
(
    call LowCardinality(String),
    settled_until DateTime64(6, 'UTC'),
    updated_at DateTime64(6, 'UTC')
)
engine = ReplacingMergeTree(updated_at)
order by call;

create table {database}.segment_identify_events
(
    message_id UUID,
    call String,
    event String,
    user_id String,
    anonymous_id String,
    entity String,
    entity_id String,
    occurred_at DateTime64(3, 'UTC'),
    message String,
    message_bytes UInt32,
    payload_hash String,
    enqueued_at DateTime64(6, 'UTC'),
    dbt_invocation_id String
)
engine = MergeTree
partition by toYYYYMM(enqueued_at)
order by (enqueued_at, message_id);

create table {database}.segment_track_events as {database}.segment_identify_events;

create view {database}.segment_identify_outbox as
with
    (
        select max(settled_until)
        from {database}.segment_outbox_watermarks
        where call = 'identify'
    ) as settled
select events.*
from {database}.segment_identify_events as events
left anti join
    (
        select message_id
        from {database}.segment_delivery_ledger
        where enqueued_at > settled
    ) as ledger
    on ledger.message_id = events.message_id
where events.enqueued_at > settled;

create view {database}.segment_track_outbox as
with
    (
        select max(settled_until)
        from {database}.segment_outbox_watermarks
        where call = 'track'
    ) as settled
select events.*
from {database}.segment_track_events as events
left anti join
    (
        select message_id
        from {database}.segment_delivery_ledger
        where enqueued_at > settled
    ) as ledger
    on ledger.message_id = events.message_id
where events.enqueued_at > settled;
