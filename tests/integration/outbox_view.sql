-- The outbox view of one call, as simple as it can be. {database} and {call} are replaced.

create view {database}.segment_{call}_outbox as
with
    (
        select max(settled_until)
        from {database}.segment_outbox_watermarks
        where call = '{call}'
    ) as settled
select events.*
from {database}.segment_{call}_events as events
left anti join
    (
        select message_id
        from {database}.segment_delivery_ledger
        where enqueued_at > settled
    ) as ledger
    on ledger.message_id = events.message_id
where events.enqueued_at > settled
