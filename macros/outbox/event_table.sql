{#-
    How an event table is kept: one row per message ever due, appended, never
    rebuilt, because it is the record of what was due. The contract makes dbt
    insert by name; without one it inserts by position. The projection finds what
    was said of an entity. call: identify or track.
-#}
{% macro event_table(call) %}
    {{- return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'on_schema_change': 'fail',
        'full_refresh': false,
        'contract': {'enforced': true},
        'engine': replicated('MergeTree()'),
        'partition_by': 'toYYYYMM(enqueued_at)',
        'order_by': '(enqueued_at, message_id)',
        'projections': [{
            'name': 'said',
            'query': 'select entity_id, event, message_id, payload_hash, generation, enqueued_at order by entity_id',
        }],
        'settings': {'index_granularity': 256},
        'pre_hook': "{{ refuse_lost_events('" ~ call ~ "') }}",
        'post_hook': [
            "{{ " ~ {'identify': 'note_customers', 'track': 'note_orders'}[call] ~ "() }}",
            "{{ record_progress('" ~ call ~ "') }}",
        ],
    }) -}}
{% endmacro %}

{#-
    The last message of each entity and event, in the event table being built, of those that the
    build works on. changed: the model of their keys.
-#}
{% macro latest_events(changed) -%}
{%- if is_incremental() -%}
select
        entity_id,
        event,
        argMax(message_id, enqueued_at) as message_id,
        argMax(payload_hash, enqueued_at) as payload_hash,
        argMax(generation, enqueued_at) as generation,
        max(enqueued_at) as last_enqueued_at
    from {{ this }}
    where {{ changed_only('entity_id', changed, 'row_key') }}
    group by entity_id, event
{%- else -%}
select
        '' as entity_id,
        '' as event,
        toUUID('00000000-0000-0000-0000-000000000000') as message_id,
        '' as payload_hash,
        toUInt32(0) as generation,
        toDateTime64(0, 6, 'UTC') as last_enqueued_at
    where false
{%- endif -%}
{%- endmacro %}

{#-
    The last messages themselves, of a relation with message_id and last_enqueued_at, by the sort
    key of the event table being built.
-#}
{% macro last_messages(said) -%}
{%- if is_incremental() -%}
select
        message_id,
        user_id,
        anonymous_id,
        message
    from {{ this }}
    where (enqueued_at, message_id) in (
        select
            last_enqueued_at,
            message_id
        from {{ said }}
    )
{%- else -%}
select
        toUUID('00000000-0000-0000-0000-000000000000') as message_id,
        '' as user_id,
        '' as anonymous_id,
        '' as message
    where false
{%- endif -%}
{%- endmacro %}

{#-
    The last message about each of some sales, under names of its own.
    latest: a CTE made by latest_events; sales: a CTE with their document_sid.
-#}
{% macro last_of_sales(latest, sales) -%}
{%- set last_events -%}
(
        select
            entity_id as sale_sid,
            argMax(event, {{ latest }}.last_enqueued_at) as last_event,
            argMax(message_id, {{ latest }}.last_enqueued_at) as message_id,
            argMax(payload_hash, {{ latest }}.last_enqueued_at) as last_payload_hash,
            argMax(generation, {{ latest }}.last_enqueued_at) as last_generation,
            max({{ latest }}.last_enqueued_at) as last_enqueued_at
        from {{ latest }}
        where event != 'Order Refunded' and entity_id in (select document_sid from {{ sales }})
        group by sale_sid
    )
{%- endset -%}
select
        last_events.sale_sid as sale_sid,
        last_events.last_event as last_event,
        last_events.message_id as last_message_id,
        last_events.last_payload_hash as last_payload_hash,
        last_events.last_generation as last_generation,
        last_messages.user_id as last_user_id,
        last_messages.anonymous_id as last_anonymous_id,
        last_messages.message as last_message
    from {{ last_events }} as last_events
    inner join (
        {{ last_messages(last_events) }}
    ) as last_messages on last_events.message_id = last_messages.message_id
{%- endmacro %}
