{#-
    How a staging model is kept: every version of every row, typed once. Granules are small,
    because a build looks up single keys. looked_up_by: further columns that rows are found by;
    their projections are off where the server's default profile asks for an old version.
-#}
{% macro staged_table(order_by, looked_up_by) %}
    {%- set projections = [{
        'name': 'loads',
        'query': 'select _load_id, _staged_at, max(_loaded_at) group by _load_id, _staged_at'
    }] -%}
    {%- for column in looked_up_by -%}
        {%- do projections.append({'name': 'by_' ~ column, 'index': column}) -%}
    {%- endfor -%}
    {{- return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'engine': replicated('MergeTree()'),
        'order_by': order_by,
        'projections': projections,
        'indexes': [
            {'name': 'staged', 'definition': '_staged_at type minmax granularity 1'},
            {'name': 'loaded', 'definition': '_loaded_at type minmax granularity 1'},
        ],
        'settings': {'index_granularity': 128, 'allow_part_offset_column_in_projections': 1},
    }) -}}
{% endmacro %}

{#-
    How the state of customers, documents and orders is kept: a build appends the rows of what it
    worked on, and the newest row of a key counts (FINAL). Nothing is changed in place.
-#}
{% macro state_table(order_by, indexes=[]) %}
    {{- return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'engine': replicated('ReplacingMergeTree(built_at, is_gone)'),
        'order_by': order_by,
        'indexes': indexes,
        'settings': {'index_granularity': 128},
    }) -}}
{% endmacro %}

{#- An index of the rows of a state table that break a rule, found by the condition `is_held`. -#}
{% macro held_index() %}
    {{- return({'name': 'held', 'definition': "ifNull(failure_code, '') type minmax granularity 1"}) -}}
{% endmacro %}

{#- The condition that a row breaks a rule, in the one form that uses the index. -#}
{% macro is_held() -%}
ifNull(failure_code, '') != ''
{%- endmacro %}

{#- A table engine, replicated on a target with a cluster. -#}
{% macro replicated(engine) %}
    {{- return(('Replicated' if target.cluster else '') ~ engine) -}}
{% endmacro %}
