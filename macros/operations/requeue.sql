{#-
    Sends messages again: dbt run-operation requeue --args
    '{call: track, entity_id: "592481256000133060"}'. The last message of each
    entity and event in the range gets a new generation, and with it a new
    messageId, since Segment drops an id that it has seen. A message that is
    still in the outbox is settled as requeued, so that only the new one goes.

    call: identify or track. At least one bound is needed:
    entity_id: one customer or order; since, until: range of enqueued_at
    ('2026-11-01 00:00:00', UTC); everything: true.
-#}
{% macro requeue(call, entity_id=none, since=none, until=none, everything=false) %}
    {%- if call not in ('identify', 'track') -%}
        {{ exceptions.raise_compiler_error("requeue: call is '" ~ call ~ "'. Set it to identify or track.") }}
    {%- endif -%}
    {%- if not (entity_id or since or until or everything) -%}
        {{ exceptions.raise_compiler_error("requeue: give entity_id, since, until, or everything: true.") }}
    {%- endif -%}
    {%- set events = target.schema ~ '.segment_' ~ call ~ '_events' -%}
    {%- set outbox = target.schema ~ '.segment_' ~ call ~ '_outbox' -%}
    {%- set filters = ['true'] -%}
    {%- if entity_id %}{% do filters.append("entity_id = " ~ dbt.string_literal(entity_id | string)) %}{% endif -%}
    {%- if since %}{% do filters.append("enqueued_at >= parseDateTime64BestEffort(" ~ dbt.string_literal(since | string) ~ ", 6, 'UTC')") %}{% endif -%}
    {%- if until %}{% do filters.append("enqueued_at < parseDateTime64BestEffort(" ~ dbt.string_literal(until | string) ~ ", 6, 'UTC')") %}{% endif -%}

    {%- set again = requeued_messages(events, filters | join(' and ')) -%}
    {%- set count = run_query('select count() from (' ~ again ~ ')').columns[0].values()[0] -%}
    {%- do run_query(settle_superseded(outbox, filters | join(' and '))) -%}
    {%- do run_query('insert into ' ~ events ~ ' ' ~ again) -%}
    {{ print('requeue: ' ~ count ~ ' ' ~ call ~ ' message(s) are in the outbox again with a new messageId.') }}
{% endmacro %}

{#- The last message of each entity and event in a range, with the next generation. -#}
{% macro requeued_messages(events, range) -%}
    select
        toUUID(new_hex) as message_id,
        call, event, user_id, anonymous_id, entity, entity_id, occurred_at,
        replaceOne(message, replaceAll(toString(last.message_id), '-', ''), new_hex) as message,
        message_bytes, payload_hash, version,
        last.generation + 1 as generation,
        now64(6, 'UTC') + toIntervalMicrosecond(row_number() over (order by enqueued_at)) as enqueued_at,
        '{{ invocation_id }}' as dbt_invocation_id
    from (
        select *, {{ message_hex('call', 'event', 'entity_id', 'version', 'generation + 1') }} as new_hex
        from (
            select * from {{ events }}
            order by enqueued_at desc
            limit 1 by entity_id, event
        )
        where {{ range }}
    ) as last
{%- endmacro %}

{#- Takes those messages of a range that are still in the outbox out of it. -#}
{% macro settle_superseded(outbox, range) -%}
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
    from {{ outbox }}
    where {{ range }}
{%- endmacro %}
