{#-
    Marks a failure as dealt with, so that it leaves the open ones of
    segment_failed_events: dbt run-operation resolve --args
    '{entity_type: order, entity_id: "601352919000280357", error_code: currency_unmapped, note: "test receipt"}'.
    It sends nothing. A row whose data is repaired goes out by itself.
-#}
{% macro resolve(entity_type=none, entity_id=none, error_code=none, note=none) %}
    {%- do check_arguments(
        'resolve',
        {'entity_type': 'text', 'entity_id': 'text', 'error_code': 'text', 'note': 'text'},
        {'entity_type': entity_type, 'entity_id': entity_id, 'error_code': error_code, 'note': note},
        kwargs,
        required=['entity_type', 'entity_id', 'error_code'],
    ) -%}
    {%- if entity_type not in ('customer', 'order', 'order_line') -%}
        {{ exceptions.raise_compiler_error("resolve: entity_type is '" ~ entity_type ~ "'. Set it to customer, order or order_line.") }}
    {%- endif -%}
    {%- set matching = run_query(
        'select count() from ' ~ target.schema ~ '.segment_failed_events where not resolved'
        ~ " and error_category != 'transient'"
        ~ ' and entity_type = ' ~ sql_text(entity_type)
        ~ ' and entity_id = ' ~ sql_text(entity_id)
        ~ ' and error_code = ' ~ sql_text(error_code)
    ).columns[0].values()[0] -%}
    {%- if matching == 0 -%}
        {{ exceptions.raise_compiler_error(
            'resolve: segment_failed_events has no open ' ~ error_code ~ ' of ' ~ entity_type ~ ' ' ~ entity_id
            ~ ' (transient ones are not resolved: they go out by themselves).'
        ) }}
    {%- endif -%}
    {%- do run_query(resolved_ledger_rows(entity_type, entity_id, error_code, note or '')) -%}
    {{ print('resolve: ' ~ error_code ~ ' of ' ~ entity_type ~ ' ' ~ entity_id ~ ' is marked as resolved.') }}
{% endmacro %}

{#-
    Ledger rows that mark a failure as resolved: the refused message's own row
    again with the new status, or, for a row that never became a message, one
    under an id made of the failure.
-#}
{% macro resolved_ledger_rows(entity_type, entity_id, error_code, note) -%}
{%- set ledger = target.schema ~ '.segment_delivery_ledger' -%}
{%- set refused -%}
    entity = {{ sql_text(entity_type) }}
    and entity_id = {{ sql_text(entity_id) }}
    and reason_code = {{ sql_text(error_code) }}
    and status = 'rejected'
{%- endset -%}
    insert into {{ ledger }}
    select * replace (
        'resolved' as status, {{ sql_text(note) }} as detail,
        -- The newest row counts, also when the clock was set back.
        greatest(now64(3, 'UTC'), recorded_at + toIntervalMillisecond(1)) as recorded_at
    )
    from {{ ledger }} final
    where {{ refused }}
    union all
    select
        toUUID(lower(hex(MD5(concatWithSeparator(
            '|', {{ sql_text(entity_type) }}, {{ sql_text(entity_id) }},
            {{ sql_text(error_code) }}
        ))))) as message_id,
        '{{ 'identify' if entity_type == 'customer' else 'track' }}' as call,
        '' as event,
        {{ sql_text(entity_type) }} as entity,
        {{ sql_text(entity_id) }} as entity_id,
        'resolved' as status,
        {{ sql_text(error_code) }} as reason_code,
        {{ sql_text(note) }} as detail,
        0 as http_status,
        0 as attempt,
        toUUID('00000000-0000-0000-0000-000000000000') as batch_id,
        0 as message_bytes,
        '' as payload_hash,
        now64(6, 'UTC') as enqueued_at,
        toDateTime(0, 'UTC') as slot,
        toUUID('00000000-0000-0000-0000-000000000000') as run_id,
        '{{ invocation_id }}' as dbt_invocation_id,
        toDateTime64(0, 3, 'UTC') as sent_at,
        now64(3, 'UTC') as recorded_at
    where (select count() from {{ ledger }} final where {{ refused }}) = 0
{%- endmacro %}
