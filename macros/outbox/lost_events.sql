{#-
    Before an event model runs: stops it when messages are missing from its table that the ledger or
    the last purge knows. A build that went on would take what was delivered long ago for new.
-#}
{% macro refuse_lost_events(call) %}
    {%- if not execute or flags.EMPTY -%}
        {{- return('') -}}
    {%- endif -%}
    {%- set lost, purged = lost_events(call), lost_purged_events(call) -%}
    {%- if lost or purged -%}
        {{ exceptions.raise_compiler_error(
            'segment_' ~ call ~ '_events has lost messages: ' ~ lost ~ ' that the ledger knows as settled, and '
            ~ purged ~ ' of before the last purge. It was emptied, dropped, or put back from an older backup.'
            ~ ' Nothing was entered, since it would be sent again. Stop the schedule, then put the table back from a'
            ~ ' backup or run dbt run-operation restore_events; see docs/operations.md, Events tables that lost rows.'
        ) }}
    {%- endif -%}
    {{- return('') -}}
{% endmacro %}

{#-
    How many settled messages of a call are missing from its events table. Keys are compared above
    the watermark, and below it in months of which the ledger has more.
-#}
{% macro lost_events(call) %}
    {%- if not events_relation(call) -%}
        {{- return(run_query(
            'select count() from ' ~ target.schema ~ '.segment_delivery_ledger where ' ~ is_message_of(call)
        ).columns[0].values()[0]) -}}
    {%- endif -%}
    {%- set span = span_to_compare(call) -%}
    {%- set lost_places = run_query(
        'select count() from (' ~ ledger_without_events(call, span) ~ ')'
    ).columns[0].values()[0] -%}
    {%- if lost_places == 0 -%}
        {{- return(0) -}}
    {%- endif -%}
    {{- return(run_query('select count() from (' ~ restorable_events(call, span) ~ ')').columns[0].values()[0]) -}}
{% endmacro %}

{#- How many messages are missing from an events table that the last purge had left in it. -#}
{% macro lost_purged_events(call) %}
    {%- set last = run_query(
        "select argMax(events_kept, (purged_until, purged_at)), toString(max(purged_until)) from "
        ~ target.schema ~ ".segment_delivery_purges where call = '" ~ call ~ "'"
    ) -%}
    {%- set kept = last.columns[0].values()[0] -%}
    {%- if kept == 0 or not events_relation(call) -%}
        {{- return(kept) -}}
    {%- endif -%}
    {%- set found = events_until(call, "toDateTime64('" ~ last.columns[1].values()[0] ~ "', 6, 'UTC')") -%}
    {{- return([kept - found, 0] | max) -}}
{% endmacro %}

{#- How many messages of a call entered at or before a time and are in its events table. -#}
{% macro events_until(call, until) %}
    {{- return(run_query(
        'select count() from ' ~ target.schema ~ '.segment_' ~ call ~ '_events where enqueued_at <= ' ~ until
    ).columns[0].values()[0]) -}}
{% endmacro %}

{#- The events table of a call; none before the first build, and when it was dropped. -#}
{% macro events_relation(call) %}
    {{- return(load_relation(
        api.Relation.create(schema=target.schema, identifier='segment_' ~ call ~ '_events')
    )) -}}
{% endmacro %}

{#- The condition on ledger rows of messages: a failure that never was one is resolved without an event. -#}
{% macro is_message_of(call) -%}
call = '{{ call }}' and event != '' and enqueued_at > {{ last_purge(call) }}
{%- endmacro %}

{#- What entered at or before this time may have lost its ledger row; 1970 before the first purge. -#}
{% macro last_purge(call) -%}
(
        select max(purged_until)
        from {{ target.schema }}.segment_delivery_purges
        where call = '{{ call }}'
    )
{%- endmacro %}

{#-
    The condition on places in the outbox where messages may be missing from the events table: all
    above the watermark, and below it the months of which the ledger has more messages.
-#}
{% macro span_to_compare(call) %}
    {%- set months = listed_months(months_with_fewer_events(call, listed_months(months_to_count(call)))) -%}
    {{- return(
        'enqueued_at > ' ~ last_purge(call) ~ ' and (enqueued_at > ' ~ settled_until(call)
        ~ ' or toYYYYMM(enqueued_at) in (' ~ months ~ '))'
    ) -}}
{% endmacro %}

{#- The months of a query, as a list in SQL; 0 is no month, so that it is never empty. -#}
{% macro listed_months(query) %}
    {{- return(run_query(
        "select arrayStringConcat(arrayPushFront(groupArray(toString(month)), '0'), ', ') from (" ~ query ~ ')'
    ).columns[0].values()[0]) -}}
{% endmacro %}

{#-
    The months of which the ledger has more rows than the events tables of both calls, by what
    ClickHouse knows of its parts, so that no row is read; and those of the watermark and of the last
    purge, where other rows make up for lost ones.
-#}
{% macro months_to_count(call) -%}
    select month
    from (
        select toYYYYMM(enqueued_at) as month, toInt64(count()) as balance
        from {{ target.schema }}.segment_delivery_ledger
        group by month
        {%- for each in ('identify', 'track') if events_relation(each) %}
        union all
        select toYYYYMM(enqueued_at) as month, -toInt64(count()) as balance
        from {{ target.schema }}.segment_{{ each }}_events
        group by month
        {%- endfor %}
    )
    group by month
    having
        sum(balance) > 0
        or month in (toYYYYMM({{ last_purge(call) }}), toYYYYMM({{ settled_until(call) }}))
{%- endmacro %}

{#- Those of some months of which, below the watermark, the ledger has more messages of a call. -#}
{% macro months_with_fewer_events(call, months) -%}
    select month
    from (
        select toYYYYMM(enqueued_at) as month, toInt8(1) as balance
        from {{ target.schema }}.segment_delivery_ledger
        where
            {{ is_message_of(call) }}
            and enqueued_at <= {{ settled_until(call) }}
            and toYYYYMM(enqueued_at) in ({{ months }})
        union all
        select toYYYYMM(enqueued_at) as month, toInt8(-1) as balance
        from {{ target.schema }}.segment_{{ call }}_events
        where
            enqueued_at > {{ last_purge(call) }}
            and enqueued_at <= {{ settled_until(call) }}
            and toYYYYMM(enqueued_at) in ({{ months }})
    )
    group by month
    having sum(balance) > 0
{%- endmacro %}

{#-
    The places in a span of the outbox that the ledger has and the events table has not, as rows of
    the events table as far as the ledger knows them; the text of the message is lost. The version is
    one that no message had, so that a message requeued from it gets an id of its own.
-#}
{% macro ledger_without_events(call, span) -%}
    select
        ledger.message_id as message_id, ledger.call as call, ledger.event as event,
        if(ledger.entity = 'customer', ledger.entity_id, '') as user_id, '' as anonymous_id,
        ledger.entity as entity, ledger.entity_id as entity_id,
        toDateTime64(0, 3, 'UTC') as occurred_at, '' as message,
        ledger.message_bytes as message_bytes, ledger.payload_hash as payload_hash,
        replaceAll(toString(ledger.message_id), '-', '') as version, toUInt32(0) as generation,
        ledger.enqueued_at as enqueued_at, ledger.dbt_invocation_id as dbt_invocation_id,
        ledger.enqueued_at as entered_at
    from (
        select *
        from {{ target.schema }}.segment_delivery_ledger final
        where {{ is_message_of(call) }} and {{ span }}
    ) as ledger
    left join (
        select enqueued_at, message_id
        from {{ target.schema }}.segment_{{ call }}_events
        where {{ span }}
    ) as events on ledger.enqueued_at = events.enqueued_at and ledger.message_id = events.message_id
    where events.message_id is null
    settings join_use_nulls = 1, join_algorithm = 'full_sorting_merge'
{%- endmacro %}

{#- The same, without messages that entered again at another place. -#}
{% macro restorable_events(call, span) -%}
    with lost as (
        {{ ledger_without_events(call, span) }}
    )
    select {{ event_columns() }}
    from lost
    where message_id not in (
        select message_id
        from {{ target.schema }}.segment_{{ call }}_events
        where message_id in (select message_id from lost)
    )
{%- endmacro %}
