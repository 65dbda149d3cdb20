{#-
    Insert of a hook of segment_track_events: what the export said of each order that this build
    worked on, where a message about it was entered at some time. State `told`: the last message says
    what the export says now. `behind`: the export says something else since, which cannot be sent
    or, of a refund, is not; the content stays that of the message. `withheld`: the order of a
    suppressed user, of which no message is entered, now or later.
-#}
{% macro note_orders() %}
{%- if not execute or flags.EMPTY -%}
    {{- return('') -}}
{%- endif -%}
{%- set schema = target.schema -%}
{%- set changes = schema ~ '.int_order_changes' -%}
{%- set worked_on = changed_only('(buyer_sid, row_key)', schema ~ '.int_documents_changed', 'buyer_sid, row_key') -%}
{%- set rules = order_content_rules() -%}
insert into {{ schema }}.segment_message_basis
with
    orders as (
        select
            ifNull(document_sid, '') as document_sid,
            kind,
            multiIf(
                exclusion_reason = 'suppressed', 'suppressed',
                failure_code is not null or (ifNull(document_sid, ''), kind) in (
                    select (entity_id, kind) from {{ schema }}.oversized_orders where {{ worked_on }}
                ), 'held',
                {{ var('guest_orders') == 'skip' }} and customer_sid is null, 'skipped',
                'sendable'
            ) as standing
        from {{ schema }}.orders
        where {{ worked_on }}
    ),
    last_events as (
        select
            entity_id,
            if(event = 'Order Refunded', 'return', 'sale') as kind,
            argMax(event, enqueued_at) as last_event,
            argMax(message_id, enqueued_at) as last_message_id,
            max(enqueued_at) as last_enqueued_at
        from {{ schema }}.segment_track_events
        where entity_id in (select document_sid from {{ changes }})
        group by entity_id, kind
    ),
    changed_refunds as (
        select document_sid from {{ changes }}
        where kind = 'return' and is_changed
    ),
    refunds_as_said as (
        select entity_id, payload_hash, user_id
        from {{ schema }}.segment_track_events
        where (enqueued_at, message_id) in (
            select last_enqueued_at, last_message_id from last_events
            where kind = 'return' and entity_id in (select document_sid from changed_refunds)
        )
    ),
    refunds_as_they_are as (
        select entity_id
        from {{ schema }}.order_refunded
        where
            {{ worked_on }}
            and entity_id in (select document_sid from changed_refunds)
            and (entity_id, {{ payload_hash('body') }}, user_id) in (select * from refunds_as_said)
    ),
    noted as (
        select
            changes.kind as kind,
            changes.document_sid as document_sid,
            changes.basis_content as basis_content,
            changes.basis_rules as basis_rules,
            changes.basis_state as basis_state,
            multiIf(
                last_events.entity_id = '', if(orders.standing = 'suppressed', 'withheld', ''),
                orders.standing = 'suppressed', 'told',
                not changes.is_changed,
                if(changes.basis_rules = '' and orders.standing = 'held', 'behind', 'told'),
                changes.kind = 'sale',
                if(
                    orders.standing = 'sendable'
                    or changes.cancel_reason is not null and last_events.last_event = 'Order Cancelled',
                    'told', 'behind'
                ),
                if(changes.document_sid in (select entity_id from refunds_as_they_are), 'told', 'behind')
            ) as new_state,
            multiIf(
                new_state != 'behind', changes.content,
                changes.basis_rules = '{{ rules }}', changes.basis_content,
                0
            ) as new_content
        from {{ changes }} as changes
        left join last_events
            on changes.document_sid = last_events.entity_id and changes.kind = last_events.kind
        left join orders
            on changes.document_sid = orders.document_sid and changes.kind = orders.kind
    )
select kind, document_sid, new_content, '{{ rules }}', new_state, now64(6, 'UTC')
from noted
where
    new_state != ''
    and (new_content, '{{ rules }}', new_state) != (basis_content, basis_rules, basis_state)
settings join_use_nulls = 0
{% endmacro %}

{#-
    Insert of a hook of segment_identify_events: a suppressed customer is `withheld`, and `told` when
    an identify was entered after the customer was taken off the list.
-#}
{% macro note_customers() %}
{%- if not execute or flags.EMPTY -%}
    {{- return('') -}}
{%- endif -%}
{%- set schema = target.schema -%}
{%- set withheld -%}
(
        select entity_id from {{ schema }}.segment_message_basis final
        where kind = 'identify' and state = 'withheld'
    )
{%- endset -%}
insert into {{ schema }}.segment_message_basis
select
    'identify', customer_sid, 0, '',
    if(exclusion_reason = 'suppressed', 'withheld', 'told'), now64(6, 'UTC')
from {{ schema }}.customers
where
    {{ changed_only('row_key', schema ~ '.int_customers_touched') }}
    and customer_sid is not null
    and (
        ifNull(exclusion_reason, '') = 'suppressed' and customer_sid not in {{ withheld }}
        or exclusion_reason is null and failure_code is null and customer_sid in {{ withheld }}
    )
{% endmacro %}
