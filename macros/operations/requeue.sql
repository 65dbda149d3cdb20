{#-
    Sends messages again: dbt run-operation requeue --args
    '{call: track, entity_id: "600067039000283131"}'. Each entity and event in the
    range gets a new message with its content as it is now, so a refused message
    can be sent once its data is mended. It has a new generation and with it a
    new messageId, since Segment drops an id that it has seen. What is no longer
    due (such as a document that cannot be read any more) is left alone. A sale that
    only says something else now goes out as Order Updated with resend_orders.

    call: identify or track. At least one bound is needed:
    entity_id: one customer or order; since, until: range in which the last
    message was entered ('2026-11-01 00:00:00', UTC); everything: true.
-#}
{% macro requeue(call=none, entity_id=none, since=none, until=none, everything=none) %}
    {%- do check_arguments(
        'requeue',
        {'call': 'text', 'entity_id': 'text', 'since': 'text', 'until': 'text', 'everything': 'boolean'},
        {'call': call, 'entity_id': entity_id, 'since': since, 'until': until, 'everything': everything},
        kwargs,
        required=['call'],
    ) -%}
    {%- set range = message_range('requeue', call, entity_id, since, until, everything) -%}
    {%- set count = requeue_range(call, range) -%}
    {%- if count == 0 -%}
        {{ refuse_empty_range('requeue', call, 'segment_' ~ call ~ '_events', range, 'is sent again') }}
    {%- endif -%}
    {{ print('requeue: ' ~ count ~ ' ' ~ call ~ ' message(s) are in the outbox again with a new messageId.') }}
{% endmacro %}

{#-
    Puts the current content of each entity and event whose last message is in a
    range into the outbox; returns how many. First the new messages, then the old
    ones out of the outbox: what is cut off in between goes out twice, under two
    ids, and is not lost.
-#}
{% macro requeue_range(call, range) %}
    {%- set events = target.schema ~ '.segment_' ~ call ~ '_events' -%}
    {%- do run_query(
        'insert into ' ~ events ~ ' (' ~ event_columns() ~ ') ' ~ requeued_messages(call, events, range)
    ) -%}
    {%- set replaced -%}
        dbt_invocation_id != '{{ invocation_id }}'
        and (entity_id, event) in (
            select entity_id, arrayJoin([event, if(event = 'Order Completed', 'Order Updated', event)])
            from {{ events }}
            where dbt_invocation_id = '{{ invocation_id }}'
        )
    {%- endset -%}
    {%- do run_query(settle_pending(call, replaced, 'requeued', 'requeued')) -%}
    {%- do return(run_query(
        "select count() from " ~ events ~ " where dbt_invocation_id = '" ~ invocation_id ~ "'"
    ).columns[0].values()[0]) -%}
{% endmacro %}

{#-
    The current content of each entity and event in a range, with the next
    generation. An Order Completed says what its updates say, so they do not go
    out beside it.
-#}
{% macro requeued_messages(call, events, range) -%}
{%- set models = ['identify'] if call == 'identify' else ['order_completed', 'order_refunded', 'order_updated'] -%}
{%- set due -%}
(
        select
            content.* except (body),
            {{ without_sales('content.body', 'last.message') if call == 'identify' else 'content.body' }} as body,
            last.version as version,
            last.generation + 1 as generation
        from (
            {%- for model in models %}
            select * from {{ target.schema }}.{{ model }}
            {{ 'union all' if not loop.last }}
            {%- endfor %}
            {%- if call == 'track' %}
            union all
            {{ cancellations(events) }}
            {%- endif %}
        ) as content
        inner join (
            select entity_id, event, version, generation, message
            from (
                select * from {{ events }}
                order by enqueued_at desc
                limit 1 by entity_id, event
            )
            where {{ range }}
            order by event
            limit 1 by entity_id, if(event = 'Order Updated', 'Order Completed', event)
        ) as last on content.entity_id = last.entity_id and content.event = last.event
    )
{%- endset -%}
{{ enqueued(call, due, events) }}
{%- endmacro %}

{#- The sales that are cancelled now, as the models of messages have them. -#}
{% macro cancellations(events) -%}
select
                call, event, user_id, anonymous_id, entity, entity_id, '' as buyer_sid, '' as row_key,
                occurred_at, concat('{', {{ body_of('message') }}) as body
            from (
                select * from {{ events }}
                where event != 'Order Refunded'
                order by enqueued_at desc
                limit 1 by entity_id
            )
            where event = 'Order Cancelled' and message != ''
{%- endmacro %}
