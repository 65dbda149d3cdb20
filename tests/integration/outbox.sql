-- The events tables and outbox views that the sender reads, in their simplest form, so that it can
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
