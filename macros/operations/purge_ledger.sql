{#-
    Removes what is older than so many days and needed no more: dbt run-operation
    purge_ledger --args '{older_than_days: 400}'. Nothing is sent again, because

    - all of it lies below the watermark; else nothing is removed. The purge itself
      is recorded, and the outbox stays above it even if the watermark is lost;
    - the last message of each entity and event stays in the events tables, which
      keeps orders from coming due again and tells what changed about a customer;
    - ledger rows of refused and resolved messages stay, for segment_failed_events.

    What goes: ledger rows of accepted and requeued messages, messages that a later
    one has replaced, attempts. At least 31 days stay: the brake and PlanSync look
    back a month.
-#}
{% macro purge_ledger(older_than_days=none) %}
    {%- do check_arguments(
        'purge_ledger',
        {'older_than_days': 'integer'},
        {'older_than_days': older_than_days},
        kwargs,
        required=['older_than_days'],
    ) -%}
    {%- if older_than_days < 31 -%}
        {{ exceptions.raise_compiler_error("purge_ledger: older_than_days is " ~ older_than_days ~ ". Set it to 31 or more.") }}
    {%- endif -%}
    {%- do refuse_purge_under_a_wrong_clock() -%}
    {%- set cutoff = run_query(
        "select toString(now64(6, 'UTC') - interval " ~ older_than_days ~ " day)"
    ).columns[0].values()[0] -%}
    {%- set until = "toDateTime64('" ~ cutoff ~ "', 6, 'UTC')" -%}
    {%- for call in ('identify', 'track') -%}
        {%- do refuse_purge_of_open_messages(call, until) -%}
    {%- endfor -%}

    {#- The record first: what is cut off in between is purged by the next purge. -#}
    {%- for call in ('identify', 'track') -%}
        {%- set events = 'segment_' ~ call ~ '_events' -%}
        {%- do run_query(
            'insert into ' ~ target.schema ~ ".segment_delivery_purges select '" ~ call ~ "', " ~ until ~ ", now64(3, 'UTC'), 0"
        ) -%}
        {%- do purge_rows(events, 'enqueued_at <= ' ~ until ~ ' and message_id not in (
            select argMax(message_id, enqueued_at) from ' ~ target.schema ~ '.' ~ events ~ ' group by entity_id, event
        )') -%}
        {%- do record_kept_events(call, until) -%}
    {%- endfor -%}
    {%- do purge_rows('segment_delivery_ledger',
        'enqueued_at <= ' ~ until ~ " and status in ('accepted', 'requeued')") -%}
    {%- do purge_rows('segment_delivery_attempts', 'started_at <= ' ~ until) -%}
{% endmacro %}

{#- Notes how many messages of before a purge the events table has, for refuse_lost_events. -#}
{% macro record_kept_events(call, until) %}
    {%- do run_query(
        'insert into ' ~ target.schema ~ ".segment_delivery_purges select '" ~ call ~ "', " ~ until
        ~ ", now64(3, 'UTC'), " ~ events_until(call, until)
    ) -%}
{% endmacro %}

{#- Stops a purge when ClickHouse's clock is not this machine's: what it removes cannot be put back. -#}
{% macro refuse_purge_under_a_wrong_clock() %}
    {%- set here = modules.datetime.datetime.now(modules.pytz.utc).strftime('%Y-%m-%d %H:%M:%S') -%}
    {%- set ahead = run_query(
        "select dateDiff('second', toDateTime('" ~ here ~ "', 'UTC'), now('UTC'))"
    ).columns[0].values()[0] -%}
    {%- if ahead | abs > 3600 -%}
        {{ exceptions.raise_compiler_error(
            "purge_ledger: ClickHouse's clock is " ~ ahead ~ " s from this machine's. Nothing was removed, since it could be"
            ~ ' younger than it seems. Set the clock, with NTP, then purge again.'
        ) }}
    {%- endif -%}
{% endmacro %}

{#- Stops a purge that would reach a message which is not known to be settled. -#}
{% macro refuse_purge_of_open_messages(call, until) %}
    {%- set found = run_query(
        'select count(), toString(min(enqueued_at)) from ' ~ target.schema ~ '.segment_' ~ call ~ '_events'
        ~ ' where enqueued_at <= ' ~ until ~ ' and enqueued_at > ' ~ settled_until(call)
    ) -%}
    {%- if found.columns[0].values()[0] > 0 -%}
        {{ exceptions.raise_compiler_error(
            'purge_ledger: ' ~ found.columns[0].values()[0] ~ ' ' ~ call ~ ' messages of that age lie above the watermark, the oldest of '
            ~ found.columns[1].values()[0] ~ ' UTC. They are pending, or no sync has come to its end since they were settled. '
            ~ 'Nothing was removed. Run a sync, look at segment_' ~ call ~ '_outbox for what stays, then purge again.'
        ) }}
    {%- endif -%}
{% endmacro %}

{#- Removes rows of a delivery table, waits for it, and says how many. -#}
{% macro purge_rows(table, condition) %}
    {%- set relation = target.schema ~ '.' ~ table -%}
    {%- set count = run_query('select count() from ' ~ relation ~ ' where ' ~ condition).columns[0].values()[0] -%}
    {%- do run_query(
        'alter table ' ~ relation ~ clickhouse_on_cluster() ~ ' delete where ' ~ condition
        ~ ' settings mutations_sync = 2, allow_nondeterministic_mutations = 1'
    ) -%}
    {{ print('purge_ledger: ' ~ count ~ ' row(s) removed from ' ~ table ~ '.') }}
{% endmacro %}
