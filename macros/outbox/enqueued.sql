{#-
    Event rows from a relation of due messages that has the columns of an event
    model plus `version` and `generation`. The messageId is a 128-bit hash of
    namespace, call, event, entity id, version and generation; the same 128 bits are
    the row's UUID. enqueued_at is the place in the outbox, apart by one microsecond
    in the order of business, so that a reader who pages by it sends the orders
    of a customer in the order in which they happened. What the message says and
    entered_at keep to the clock.

    call: identify or track; events: its events table, none if there is none yet; documents:
    condition on the entity_id of the documents that due track messages may be about.
-#}
{% macro enqueued(call, due, events, documents='true') -%}
{%- set messages = with_guest_ids_sent_before(due, events, documents) if call == 'track' and events else due -%}
select
    toUUID(message_hex) as message_id,
    due.call as call,
    due.event as event,
    due.user_id as user_id,
    due.anonymous_id as anonymous_id,
    due.entity as entity,
    due.entity_id as entity_id,
    toDateTime64(ifNull(due.occurred_at, now64(3, 'UTC')), 3, 'UTC') as occurred_at,
    concat(
        '{"messageId":"', message_hex, '","timestamp":"', {{ iso_time_utc('occurred_at') }}, '",',
        substring(due.body, 2)
    ) as message,
    toUInt32(length(message)) as message_bytes,
    {{ payload_hash('due.body') }} as payload_hash,
    due.version as version,
    toUInt32(due.generation) as generation,
    {{ outbox_end(call, events) }} + toIntervalMicrosecond(due.place) as enqueued_at,
    '{{ invocation_id }}' as dbt_invocation_id,
    now64(6, 'UTC') as entered_at
from (
    select
        *,
        {{ message_hex("call", "event", "entity_id", "version", "generation") }} as message_hex,
        -- A window function would hold all messages in memory.
        rowNumberInAllBlocks() + 1 as place
    from (
        select * from {{ messages }}
        order by ifNull(occurred_at, now64(3, 'UTC')), entity_id, event
    )
) as due
{%- endmacro %}

{#- The columns of an events table, in the order in which enqueued has them. -#}
{% macro event_columns() -%}
message_id, call, event, user_id, anonymous_id, entity, entity_id, occurred_at, message,
    message_bytes, payload_hash, version, generation, enqueued_at, dbt_invocation_id, entered_at
{%- endmacro %}

{#-
    The end of the outbox of a call, after which the next messages are placed: now, unless the
    watermark or a message lies beyond it because the clock was ahead before. What lay below the
    watermark would never be sent.
-#}
{% macro outbox_end(call, events) -%}
greatest(
        now64(6, 'UTC'),
        assumeNotNull({{ outbox_watermark(call) }})
        {%- if events %},
        assumeNotNull((select max(enqueued_at) from {{ events }}))
        {%- endif %}
    )
{%- endmacro %}

{#- 32 lower-case hex characters: the messageId. -#}
{% macro message_hex(call, event, entity_id, version, generation) -%}
lower(hex(MD5(concatWithSeparator(
            '|', '{{ segment_namespace() }}', {{ call }}, {{ event }}, {{ entity_id }},
            {{ version }}, toString({{ generation }})
        ))))
{%- endmacro %}
