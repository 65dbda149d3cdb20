{#-
    Whether this build works on all rows, and not only on those that are new: the first one, one
    with --full-refresh, one after a change of what the messages are made by, and each one of a
    source whose rows do not say when they came (_loaded_at).
-#}
{% macro rebuilds_everything() %}
    {%- if not execute or flags.FULL_REFRESH or not rows_say_when_they_came() -%}
        {{- return(true) -}}
    {%- endif -%}
    {%- set progress = load_relation(
        api.Relation.create(schema=target.schema, identifier='segment_build_progress')
    ) -%}
    {#- One row also of an empty table, which a first build leaves that broke off. -#}
    {%- set calls_up_to_date = run_query(
        "select countIf(last_fingerprint = '" ~ build_fingerprint()
        ~ "') from (select argMax(fingerprint, finished_at) as last_fingerprint from " ~ progress ~ ' group by call)'
    ).columns[0].values()[0] if progress else 0 -%}
    {{- return(calls_up_to_date < 2) -}}
{% endmacro %}

{#- Whether each table of the source has the time of arrival. By way of the graph, since a macro of many models cannot use ref. -#}
{% macro rows_say_when_they_came() %}
    {%- if retail_pro_source() == 'seeds' -%}
        {{- return(false) -}}
    {%- endif -%}
    {%- for table in ('customer', 'document', 'document_item') -%}
        {%- set node = retail_pro_source_table(table) -%}
        {%- set relation = load_relation(api.Relation.create(schema=node.schema, identifier=node.identifier)) -%}
        {%- set names = adapter.get_columns_in_relation(relation) | map(attribute='name') | map('upper') | list if relation else [] -%}
        {%- if '_LOADED_AT' not in names -%}
            {{- return(false) -}}
        {%- endif -%}
    {%- endfor -%}
    {{- return(true) -}}
{% endmacro %}

{#-
    dbt's own question, answered anew for incremental models that leave full_refresh open: they
    are made from scratch when this build works on all rows.
-#}
{% macro should_full_refresh() %}
    {%- set stated = config.get('full_refresh') -%}
    {%- if stated is not none -%}
        {{- return(stated) -}}
    {%- endif -%}
    {{- return(flags.FULL_REFRESH or (model.config.materialized == 'incremental' and rebuilds_everything())) -}}
{% endmacro %}
