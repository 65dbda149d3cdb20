{#-
    Stands before each statement of dbt, as dbt's own comment does, with the id of
    the build: by it a sync that is stopped ends the statements that still run, and
    system.query_log tells which build a statement was of.
-#}
{% macro query_comment(node) -%}
{{ return(tojson({
    'app': 'dbt',
    'dbt_version': dbt_version,
    'invocation_id': invocation_id,
    'target_name': target.name,
    'node_id': node.unique_id if node else none,
})) }}
{%- endmacro %}
