{#-
    Sends messages again: dbt run-operation requeue --args
    '{call: track, entity_id: "592481256000133060"}'. Each entity and event in the
    range gets a new message with its content as it is now, so a refused message
    can be sent once its data is mended. It has a new generation and with it a
    new messageId, since Segment drops an id that it has seen. What is no longer
    due (a deleted or held document) is left alone.

    call: identify or track. At least one bound is needed:
    entity_id: one customer or order; since, until: range in which the last
    message was entered ('2026-11-01 00:00:00', UTC); everything: true.
-#}
{% macro requeue(call, entity_id=none, since=none, until=none, everything=false) %}
    {%- if call not in ('identify', 'track') -%}
        {{ exceptions.raise_compiler_error("requeue: call is '" ~ call ~ "'. Set it to identify or track.") }}
    {%- endif -%}
    {%- if not (entity_id or since or until or everything) -%}
        {{ exceptions.raise_compiler_error("requeue: give entity_id, since, until, or everything: true.") }}
    {%- endif -%}
    {%- set filters = ['true'] -%}
    {%- if entity_id -%}{%- do filters.append('entity_id = ' ~ sql_text(entity_id)) -%}{%- endif -%}
    {%- if since -%}{%- do filters.append('enqueued_at >= ' ~ instant(since)) -%}{%- endif -%}
    {%- if until -%}{%- do filters.append('enqueued_at < ' ~ instant(until)) -%}{%- endif -%}

    {#- First the new messages, then the old ones out of the outbox: what is cut off
        in between goes out twice, under two ids, and is not lost. -#}
    {%- set events = target.schema ~ '.segment_' ~ call ~ '_events' -%}
    {%- do run_query('insert into ' ~ events ~ ' ' ~ requeued_messages(call, events, filters | join(' and '))) -%}
    {%- do run_query(settle_superseded(call, events)) -%}
    {%- set count = run_query(
        "select count() from " ~ events ~ " where dbt_invocation_id = '" ~ invocation_id ~ "'"
    ).columns[0].values()[0] -%}
    {{ print('requeue: ' ~ count ~ ' ' ~ call ~ ' message(s) are in the outbox again with a new messageId.') }}
{% endmacro %}

{#- A moment, given as text in UTC. -#}
{% macro instant(text) -%}
parseDateTime64BestEffort({{ sql_text(text) }}, 6, 'UTC')
{%- endmacro %}

{#- The current content of each entity and event in a range, with the next generation. -#}
{% macro requeued_messages(call, events, range) -%}
{%- set models = ['identify'] if call == 'identify' else ['order_completed', 'order_refunded'] -%}
{%- set due -%}
(
        select
            content.*,
            last.version as version,
            last.generation + 1 as generation
        from (
            {%- for model in models %}
            select * from {{ target.schema }}.{{ model }}
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        ) as content
        inner join (
            select entity_id, event, version, generation
            from (
                select * from {{ events }}
                order by enqueued_at desc
                limit 1 by entity_id, event
            )
            where {{ range }}
        ) as last on content.entity_id = last.entity_id and content.event = last.event
    )
{%- endset -%}
{{ enqueued(due) }}
{%- endmacro %}

{#- Takes the pending messages out of the outbox that this invocation has replaced. -#}
{% macro settle_superseded(call, events) -%}
    insert into {{ target.schema }}.segment_delivery_ledger
    select
        message_id, call, event, entity, entity_id,
        'requeued' as status, 'requeued' as reason_code, '' as detail,
        0 as http_status, 0 as attempt,
        toUUID('00000000-0000-0000-0000-000000000000') as batch_id,
        message_bytes, payload_hash, enqueued_at,
        toDateTime(0, 'UTC') as slot,
        toUUID('00000000-0000-0000-0000-000000000000') as run_id,
        dbt_invocation_id,
        toDateTime64(0, 3, 'UTC') as sent_at,
        now64(3, 'UTC') as recorded_at
    from {{ target.schema }}.segment_{{ call }}_outbox
    where
        dbt_invocation_id != '{{ invocation_id }}'
        and (entity_id, event) in (
            select entity_id, event from {{ events }}
            where dbt_invocation_id = '{{ invocation_id }}'
        )
{%- endmacro %}
