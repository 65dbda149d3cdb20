{#-
    How an event table is kept: one row per message ever due, appended, never
    rebuilt, because it is the record of what was due. The contract makes dbt
    insert by name; without one it inserts by position.
-#}
{% macro event_table() %}
    {{- return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'on_schema_change': 'fail',
        'full_refresh': false,
        'contract': {'enforced': true},
        'engine': 'ReplicatedMergeTree()' if target.cluster else 'MergeTree()',
        'partition_by': 'toYYYYMM(enqueued_at)',
        'order_by': '(enqueued_at, message_id)',
    }) -}}
{% endmacro %}

{#- The last message of each entity and event in the event table being built. -#}
{% macro latest_events() -%}
{%- if is_incremental() -%}
select
        entity_id,
        event,
        argMax(message_id, enqueued_at) as message_id,
        argMax(payload_hash, enqueued_at) as payload_hash,
        argMax(generation, enqueued_at) as generation,
        max(enqueued_at) as last_enqueued_at
    from {{ this }}
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
