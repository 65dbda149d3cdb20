{#-
    Proves that nothing pending lies below the watermark, where the outbox does not
    look: dbt run-operation reconcile. It compares the whole sort keys of events
    and ledger, and fails when a message has no ledger row. Messages of before a
    purge are left out. `repair: true` sets the watermark back to just before the
    oldest one found, so that the next sync sends them with their own ids.
-#}
{% macro reconcile(repair=false) %}
    {%- set lost = [] -%}
    {%- for call in ('identify', 'track') -%}
        {%- set found = run_query(left_behind(call)) -%}
        {%- set count = found.columns[0].values()[0] -%}
        {{ print('reconcile: ' ~ count ~ ' ' ~ call ~ ' message(s) are pending below the watermark.') }}
        {%- if count > 0 and repair -%}
            {%- do set_watermark_back(call, found.columns[1].values()[0]) -%}
            {{ print('reconcile: the watermark of ' ~ call ~ ' is set back; the next sync sends them.') }}
        {%- elif count > 0 -%}
            {%- do lost.append(call) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if lost -%}
        {{ exceptions.raise_compiler_error(
            "reconcile: messages were left behind (" ~ lost | join(', ') ~ "). Stop the schedule, run dbt run-operation"
            ~ " reconcile --args '{repair: true}', then sync."
        ) }}
    {%- endif -%}
{% endmacro %}

{#- How many messages of a call are neither settled nor seen by the outbox, and the oldest. -#}
{% macro left_behind(call) -%}
    select count(), toString(min(events.enqueued_at))
    from {{ target.schema }}.segment_{{ call }}_events as events
    left join {{ target.schema }}.segment_delivery_ledger as ledger
        on events.enqueued_at = ledger.enqueued_at and events.message_id = ledger.message_id
    where
        ledger.message_id is null
        and events.enqueued_at <= {{ settled_until(call) }}
        and events.enqueued_at > (
            select max(purged_until)
            from {{ target.schema }}.segment_delivery_purges
            where call = '{{ call }}'
        )
    settings join_use_nulls = 1, join_algorithm = 'full_sorting_merge'
{%- endmacro %}

{#- The watermark of a call; 1970 before the first. -#}
{% macro settled_until(call) -%}
(
        select max(settled_until)
        from {{ target.schema }}.segment_outbox_watermarks
        where call = '{{ call }}'
    )
{%- endmacro %}

{#- Moves the watermark of a call to just before a message; the lower row comes first. -#}
{% macro set_watermark_back(call, oldest) %}
    {%- set watermarks = target.schema ~ '.segment_outbox_watermarks' -%}
    {%- set before = "toDateTime64('" ~ oldest ~ "', 6, 'UTC') - toIntervalMicrosecond(1)" -%}
    {%- do run_query('insert into ' ~ watermarks ~ " select '" ~ call ~ "', " ~ before ~ ", now64(6, 'UTC')") -%}
    {%- do run_query(
        'alter table ' ~ watermarks ~ clickhouse_on_cluster() ~ " delete where call = '" ~ call ~ "' and settled_until > " ~ before
        ~ ' settings mutations_sync = 2'
    ) -%}
{% endmacro %}
