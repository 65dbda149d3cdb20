{#-
    The messages of one call (`identify` or `track`) that are still to be sent:
    those due, less those that the ledger has settled. The watermark bounds both
    sides, so that a read costs what is new and not the whole history; it is a
    constant that prunes partitions and the primary key. What was purged counts as
    below it, since its ledger rows are gone.
-#}
{% macro outbox(call) -%}
{%- set watermark = outbox_watermark(call) -%}
with events as (

    select *
    from {{ ref('segment_' ~ call ~ '_events') }}
    where enqueued_at > {{ watermark }}

),

settled as (

    select message_id
    from {{ source('segment_delivery', 'segment_delivery_ledger') }}
    where enqueued_at > {{ watermark }}

)

select
    events.message_id as message_id,
    events.call as call,
    events.event as event,
    events.user_id as user_id,
    events.anonymous_id as anonymous_id,
    events.entity as entity,
    events.entity_id as entity_id,
    events.occurred_at as occurred_at,
    events.message as message,
    events.message_bytes as message_bytes,
    events.payload_hash as payload_hash,
    events.enqueued_at as enqueued_at,
    events.dbt_invocation_id as dbt_invocation_id,
    events.entered_at as entered_at
from events
left anti join settled on events.message_id = settled.message_id
{%- endmacro %}

{#- Up to here all messages of a call are settled; the time of the last purge where it is later. -#}
{% macro outbox_watermark(call) -%}
(
        select max(settled_until)
        from (
            select settled_until
            from {{ source('segment_delivery', 'segment_outbox_watermarks') }}
            where call = '{{ call }}'
            union all
            select purged_until as settled_until
            from {{ source('segment_delivery', 'segment_delivery_purges') }}
            where call = '{{ call }}'
        )
    )
{%- endmacro %}
