{#-
    Proves that nothing pending lies below the watermark, where the outbox does not
    look: dbt run-operation reconcile. It compares the whole sort keys of events
    and ledger, and fails when a message has no ledger row. Messages of before a
    purge are left out.

    Two findings differ. *Left behind*: a few messages were never settled.
    `repair: true` sets the watermark back to just before the oldest one, so that the next
    sync sends them with their own ids. *Ledger lost*: whole days have no ledger row, or
    requests that Segment accepted have none, so the messages were probably sent. Restore the
    ledger first. Without a backup, `lost_ledger: settle` records them as resolved and sends
    nothing, and `lost_ledger: send` treats them as left behind.
-#}
{% macro reconcile(repair=none, lost_ledger=none) %}
    {%- do check_arguments(
        'reconcile',
        {'repair': 'boolean', 'lost_ledger': 'text'},
        {'repair': repair, 'lost_ledger': lost_ledger},
        kwargs,
    ) -%}
    {%- if lost_ledger not in (none, 'settle', 'send') -%}
        {{ exceptions.raise_compiler_error("reconcile: lost_ledger is '" ~ lost_ledger ~ "'. Set it to settle or send, or leave it out.") }}
    {%- endif -%}
    {%- set advice = [] -%}
    {%- for call in ('identify', 'track') -%}
        {%- if lost_ledger == 'settle' -%}{%- do settle_lost_days(call) -%}{%- endif -%}
        {%- set found = run_query(left_behind(call)).rows[0] -%}
        {{ print('reconcile: ' ~ found.messages ~ ' ' ~ call ~ ' message(s) are pending below the watermark.') }}
        {%- set lost = found.on_lost_days > 0 or found.accepted_unrecorded > 0 -%}
        {%- if lost and lost_ledger is none -%}
            {%- do advice.append(lost_ledger_advice(call, found)) -%}
        {%- elif found.messages > 0 and (repair or lost_ledger == 'send') -%}
            {%- do set_watermark_back(call, found.oldest) -%}
            {{ print('reconcile: the watermark of ' ~ call ~ ' is set back; the next sync sends them.') }}
        {%- elif found.messages > 0 -%}
            {%- do advice.append(
                "reconcile: messages were left behind (" ~ call ~ "). Stop the schedule, run dbt run-operation"
                ~ " reconcile --args '{repair: true}', then sync."
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if advice -%}{{ exceptions.raise_compiler_error(advice | join('\n')) }}{%- endif -%}
{% endmacro %}

{#- What a call's lost ledger rows mean, and what to do. found: the row of left_behind. -#}
{% macro lost_ledger_advice(call, found) -%}
reconcile: the ledger of {{ call }} is incomplete. {{ found.on_lost_days }} messages are of {{ found.lost_days }} day(s), from {{ found.first_lost_day }} to {{ found.last_lost_day }}, without any ledger row; Segment has accepted {{ found.accepted_unrecorded }} messages in requests that the ledger does not know. They were probably sent, so nothing was repaired. Stop the schedule. Restore segment_delivery_ledger from a backup (docs/backup.md), then run reconcile again. If there is no backup, run dbt run-operation reconcile --args '{lost_ledger: settle}', which records these days as settled and sends nothing. Only if they were never sent, use '{lost_ledger: send}'.
{%- endmacro %}

{#- Messages of a call that are below its watermark and newer than its last purge. -#}
{% macro below_watermark(call) -%}
enqueued_at <= {{ settled_until(call) }}
        and enqueued_at > (
            select max(purged_until)
            from {{ target.schema }}.segment_delivery_purges
            where call = '{{ call }}'
        )
{%- endmacro %}

{#- Each day (UTC, of entry) with messages of a call that have no ledger row, and whether it has none at all. -#}
{% macro days_left_behind(call) -%}
    select
        toDate(enqueued_at) as day,
        countIf(ledger_id is null) as missing,
        missing = count() as is_lost,
        minIf(enqueued_at, ledger_id is null) as oldest
    from (
        select events.enqueued_at as enqueued_at, ledger.message_id as ledger_id
        from (
            select enqueued_at, message_id
            from {{ target.schema }}.segment_{{ call }}_events
            where {{ below_watermark(call) }}
        ) as events
        left join {{ target.schema }}.segment_delivery_ledger as ledger
            on events.enqueued_at = ledger.enqueued_at and events.message_id = ledger.message_id
    )
    group by day
    having missing > 0
    settings join_use_nulls = 1, join_algorithm = 'full_sorting_merge'
{%- endmacro %}

{#-
    How many messages of a call are neither settled nor seen by the outbox, and the oldest. A day
    counts as lost when it has few_left_behind messages or more and no ledger row.
-#}
{% macro left_behind(call) -%}
    select
        sum(missing) as messages,
        toString(min(oldest)) as oldest,
        sumIf(missing, is_lost and missing >= {{ few_left_behind() }}) as on_lost_days,
        countIf(is_lost and missing >= {{ few_left_behind() }}) as lost_days,
        toString(minIf(day, is_lost and missing >= {{ few_left_behind() }})) as first_lost_day,
        toString(maxIf(day, is_lost and missing >= {{ few_left_behind() }})) as last_lost_day,
        if(messages = 0, 0, ({{ accepted_unrecorded(call) }})) as accepted_unrecorded
    from ({{ days_left_behind(call) }})
{%- endmacro %}

{#- Fewer messages of a day without a ledger row are taken for left behind, not for a lost ledger. -#}
{% macro few_left_behind() -%}
20
{%- endmacro %}

{#-
    Messages in requests that Segment accepted and that the ledger does not know. The ledger is
    written before the requests, so this cannot come from a run that broke off.
-#}
{% macro accepted_unrecorded(call) -%}
    select sum(messages)
    from {{ target.schema }}.segment_delivery_attempts
    where
        call = '{{ call }}' and outcome = 'accepted'
        and batch_id not in (select batch_id from {{ target.schema }}.segment_delivery_ledger)
{%- endmacro %}

{#- Records the messages of lost days as settled; says how many. -#}
{% macro settle_lost_days(call) %}
    {%- set found = run_query(left_behind(call)).rows[0] -%}
    {%- set lost -%}
(
            select *
            from {{ target.schema }}.segment_{{ call }}_events
            where
                {{ below_watermark(call) }}
                and toDate(enqueued_at) in (
                    select day from ({{ days_left_behind(call) }}) where is_lost and missing >= {{ few_left_behind() }}
                )
        )
    {%- endset -%}
    {%- do run_query(settle(
        lost, 'resolved', 'ledger_lost', 'The ledger rows were lost. The watermark shows that the message was settled.'
    )) -%}
    {{ print('reconcile: ' ~ found.on_lost_days ~ ' ' ~ call ~ ' message(s) of days without a ledger are recorded as settled.') }}
{% endmacro %}

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
