{#-
    Puts back into the events tables what the ledger knows of messages that they have lost: dbt
    run-operation restore_events. Their ids and hashes are there, so that nothing which was delivered
    comes due again and a change goes on where it was; their texts are lost. The next build works on
    all rows, and enters again what was lost while it was pending.

    What entered before the last purge is known to the events tables only, and is in a backup or
    nowhere. give_up_purged: true takes its loss as given; the next build enters it as new.
-#}
{% macro restore_events(give_up_purged=none) %}
    {%- do check_arguments(
        'restore_events', {'give_up_purged': 'boolean'}, {'give_up_purged': give_up_purged}, kwargs
    ) -%}
    {%- set missing = [] -%}
    {%- for call in ('identify', 'track') -%}
        {%- if not events_relation(call) -%}
            {{ exceptions.raise_compiler_error(
                'restore_events: there is no table segment_' ~ call ~ '_events. Make an empty one with'
                ~ ' dbt run --empty --select segment_' ~ call ~ '_events, then run this again.'
            ) }}
        {%- endif -%}
        {%- set lost = lost_events(call) -%}
        {%- if lost -%}
            {%- do run_query(
                'insert into ' ~ target.schema ~ '.segment_' ~ call ~ '_events (' ~ event_columns() ~ ') '
                ~ restorable_events(call, span_to_compare(call))
            ) -%}
        {%- endif -%}
        {{ print('restore_events: ' ~ lost ~ ' ' ~ call ~ ' message(s) are back from the ledger.') }}
        {%- set purged = lost_purged_events(call) -%}
        {%- if purged and give_up_purged -%}
            {%- do record_kept_events(call, last_purge(call)) -%}
            {{ print('restore_events: ' ~ purged ~ ' ' ~ call ~ ' message(s) of before the last purge are given up.') }}
        {%- elif purged -%}
            {%- do missing.append(purged ~ ' ' ~ call) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do run_query(forgotten_fingerprint()) -%}
    {%- if missing -%}
        {{ exceptions.raise_compiler_error(
            'restore_events: ' ~ missing | join(' and ') ~ ' message(s) of before the last purge are missing still, and the'
            ~ ' ledger no longer has them. Put the events tables back from a backup. If there is none, run this with'
            ~ " --args '{give_up_purged: true}': the next build enters those customers and orders as new; look at"
            ~ ' PlanSync and withdraw what is not to be sent again.'
        ) }}
    {%- endif -%}
{% endmacro %}
