-- The events tables that the outbox views read, in their simplest form, so that the sender can
-- be tested without a dbt build. {database} is replaced by the name of the test's database.

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

create table {database}.segment_failed_events
(
    event_type String,
    error_category String,
    resolved UInt8
)
engine = Memory;

create table {database}.suppressed_users
(
    user_id String
)
engine = Memory;
