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

create table {database}.unsendable_orders
(
    entity_id String,
    event_type String,
    error_code String
)
engine = Memory;

create table {database}.customers
(
    source_sid String,
    failure_code Nullable(String),
    exclusion_reason Nullable(String)
)
engine = Memory;

create table {database}.suppressed_users
(
    user_id String
)
engine = Memory;
