{#- Insert of the ledger rows that take pending messages out of the outbox without sending them. -#}
{% macro settle_pending(call, condition, status, reason_code, note='') -%}
    {{- settle('(select * from ' ~ target.schema ~ '.segment_' ~ call ~ '_outbox where ' ~ condition ~ ')', status, reason_code, note) -}}
{%- endmacro %}

{#- Insert of ledger rows for messages that are settled without a request. messages: rows of an events table. -#}
{% macro settle(messages, status, reason_code, note='') -%}
    insert into {{ target.schema }}.segment_delivery_ledger
    select
        message_id, call, event, entity, entity_id,
        '{{ status }}' as status, '{{ reason_code }}' as reason_code,
        {{ sql_text(note) }} as detail,
        0 as http_status, 0 as attempt,
        toUUID('00000000-0000-0000-0000-000000000000') as batch_id,
        message_bytes, payload_hash, enqueued_at,
        toDateTime(0, 'UTC') as slot,
        toUUID('00000000-0000-0000-0000-000000000000') as run_id,
        dbt_invocation_id,
        toDateTime64(0, 3, 'UTC') as sent_at,
        now64(3, 'UTC') as recorded_at
    from {{ messages }}
{%- endmacro %}
