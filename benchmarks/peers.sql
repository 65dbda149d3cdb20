-- What the scripts of peers.py ask ClickHouse. A query begins with a line "-- name:"; the comment
-- under it says what it is for.

-- name: make_queue
-- Orders and refunds with a flag, as scripts keep them: what came last is still to be sent.
create or replace table {database:Identifier}.peer_orders
engine = MergeTree
order by (document_sid, kind)
as select
    assumeNotNull(document_sid) as document_sid, kind, order_id, customer_sid, store_code, email,
    receipt_number, currency, total, subtotal, revenue, tax, shipping, discount, payment_method, store_name,
    assumeNotNull(occurred_at) as occurred_at,
    toUInt8((document_sid, if(kind = 'sale', 'Order Completed', 'Order Refunded')) not in (
        select (entity_id, event) from {database:Identifier}.segment_track_outbox
    )) as sent
from {database:Identifier}.orders
where failure_code is null and exclusion_reason is null

-- name: make_lines
-- Their lines, in the order in which a script asks for them.
create or replace table {database:Identifier}.peer_lines
engine = MergeTree
order by (document_sid, kind)
as select
    assumeNotNull(document_sid) as document_sid, kind, product_id, product_name, category, brand, variant, price,
    quantity, position
from {database:Identifier}.order_lines

-- name: orders
-- What is still to be sent.
select * except (sent) from {database:Identifier}.peer_orders where sent = 0 order by occurred_at

-- name: lines_of_order
-- The lines of one order.
select product_id, product_name, category, brand, variant, price, quantity, position
from {database:Identifier}.peer_lines
where document_sid = {document:String} and kind = {kind:String}
order by position

-- name: lines
-- The lines of all orders that are still to be sent.
select
    document_sid, kind, product_id, product_name, category, brand, variant, price, quantity, position
from {database:Identifier}.peer_lines
where (document_sid, kind) in (
    select document_sid, kind from {database:Identifier}.peer_orders where sent = 0
)
order by position

-- name: mark_sent
-- The flag, by a mutation: it rewrites every part that has one of the orders.
alter table {database:Identifier}.peer_orders
update sent = 1 where document_sid in {documents:Array(String)}

-- name: unfinished_mutations
-- Mutations that are queued or run.
select count() as mutations from system.mutations where table = 'peer_orders' and not is_done

-- name: forget_deliveries
-- The deliveries of a run, so that the next one finds the same outbox.
alter table {database:Identifier}.segment_delivery_ledger
delete where run_id = {run_id:UUID} settings mutations_sync = 2
