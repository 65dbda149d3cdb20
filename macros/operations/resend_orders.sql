{#-
    Sends Order Updated for each sale that says something else now than what was said last, although
    the export has not changed it: after a change of a mapping, a variable or a model, which sends
    nothing by itself. dbt run-operation resend_orders says how many they are and does nothing; with
    --args '{orders: 2050}', the number that it said, it puts them into the outbox.
-#}
{% macro resend_orders(orders=none) %}
    {%- do check_arguments('resend_orders', {'orders': 'integer'}, {'orders': orders}, kwargs) -%}
    {%- set events = target.schema ~ '.segment_track_events' -%}
    {%- set count = run_query('select count() from ' ~ differing_orders(events)).columns[0].values()[0] -%}
    {{ print('resend_orders: ' ~ count ~ ' sale(s) say something else than what was said last.') }}
    {%- if orders is none -%}
        {{ print(
            'resend_orders: nothing was done.' if count == 0 else
            "resend_orders: nothing was done. To send them, run it with --args '{orders: " ~ count ~ "}', then sync."
        ) }}
    {%- elif orders != count -%}
        {{ exceptions.raise_compiler_error(
            'resend_orders: orders is ' ~ orders ~ ', and ' ~ count ~ ' would be sent. Nothing was done. Look at what has'
            ~ ' changed, then give the number that you mean.'
        ) }}
    {%- elif count > 0 -%}
        {%- do run_query(
            'insert into ' ~ events ~ ' (' ~ event_columns() ~ ') '
            ~ enqueued('track', differing_orders(events), events)
        ) -%}
        {{ print('resend_orders: ' ~ count ~ ' Order Updated message(s) are in the outbox.') }}
    {%- endif -%}
{% endmacro %}

{#- Order Updated of each sale that can be sent and of which something else was said last, by content or by customer. -#}
{% macro differing_orders(events) -%}
(
        select
            updated.*,
            {{ chained_version('updated.payload_hash', 'said.last_message_id') }} as version,
            said.last_generation as generation
        from (
            select *, {{ payload_hash('body') }} as payload_hash
            from {{ target.schema }}.order_updated
            where {{ message_size('body') }} <= {{ most_message_bytes() }}
        ) as updated
        inner join (
            select
                entity_id as sale_sid,
                argMax(event, enqueued_at) as last_event,
                argMax(message_id, enqueued_at) as last_message_id,
                argMax(payload_hash, enqueued_at) as last_payload_hash,
                argMax(generation, enqueued_at) as last_generation,
                argMax(user_id, enqueued_at) as last_user_id,
                -- 1970 in one that was restored, of which nobody knows whose it was.
                argMax(occurred_at, enqueued_at) as last_occurred_at
            from {{ events }}
            where event != 'Order Refunded'
            group by sale_sid
        ) as said on updated.entity_id = said.sale_sid
        where
            said.last_event != 'Order Cancelled'
            and (
                updated.payload_hash != said.last_payload_hash
                or said.last_occurred_at > toDateTime64(0, 3, 'UTC')
                and updated.user_id != said.last_user_id
            )
    )
{%- endmacro %}
