{#-
    Hook of an event model: notes what the build has got through, so that the next one begins
    there. Only when all that the messages come from was in the same command; views and seeds may
    be missing where only new rows were worked on, since the code is that of the last build then.
    A build that stops earlier, at a data test for instance, notes nothing, and the next one does
    its work again.
-#}
{% macro record_progress(call) %}
    {%- if flags.EMPTY -%}
        {{- return('') -}}
    {%- endif -%}
    {%- for id in message_ancestors().nodes if id not in selected_resources -%}
        {%- if works_on_everything() or graph.nodes[id].config.materialized not in ('view', 'seed') -%}
            {{- return('') -}}
        {%- endif -%}
    {%- endfor -%}
insert into {{ target.schema }}.segment_build_progress
(call, staged_until, fingerprint, finished_at, dbt_invocation_id, origin)
select '{{ call }}', staged_until, fingerprint, {{ finished_at() }}, '{{ invocation_id }}', '{{ origin() }}'
from {{ target.schema }}.int_build_scope
{% endmacro %}

{#- Later than all that was noted before, also when the clock was set back: the last note counts. -#}
{% macro finished_at() -%}
greatest(
    now64(6, 'UTC'),
    (select max(finished_at) + toIntervalMicrosecond(1) from {{ target.schema }}.segment_build_progress)
)
{%- endmacro %}

{#-
    At the start: a command that makes any of it from all rows takes the fingerprint back, so that
    what it leaves half done is made anew by the next one, with whatever settings.
-#}
{% macro take_back_progress() %}
    {%- if execute and flags.WHICH in ('build', 'run', 'retry') and rebuilds_everything() -%}
        {%- for id in message_ancestors().nodes if id in selected_resources -%}
            {%- if loop.first -%}
                {%- do run_query(forgotten_fingerprint()) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}

{#- Insert of a note that makes the next build work on all rows. -#}
{% macro forgotten_fingerprint() -%}
insert into {{ target.schema }}.segment_build_progress
(call, staged_until, fingerprint, finished_at, dbt_invocation_id)
select call, max(staged_until), '', {{ finished_at() }}, '{{ invocation_id }}'
from {{ target.schema }}.segment_build_progress
group by call
{%- endmacro %}
