{#-
    The condition that a row belongs to what this build works on: its key is in a model of changed
    keys. Nothing is compared when the build works on all rows. For models below int_build_scope,
    and for data tests.
-#}
{% macro changed_only(key, changed, changed_key=none) -%}
{%- if execute and works_on_everything() -%}
true
{%- else -%}
{{ key }} in (select {{ changed_key or key }} from {{ changed }})
{%- endif -%}
{%- endmacro %}

{#- The same for rows of documents, which their customer and row key tell apart. -#}
{% macro of_changed_documents() -%}
{{ changed_only('(buyer_sid, row_key)', ref('int_documents_changed'), 'buyer_sid, row_key') }}
{%- endmacro %}

{#-
    Whether this build, or in a data test the last one, works on all rows. What int_build_scope
    says, which is asked once and does not change while a build goes on.
-#}
{% macro works_on_everything() %}
    {%- if not execute -%}
        {{- return(true) -}}
    {%- endif -%}
    {%- set scope = load_relation(api.Relation.create(schema=target.schema, identifier='int_build_scope')) -%}
    {{- return(not scope or run_query('select toUInt8(is_rebuild) from ' ~ scope).columns[0].values()[0] == 1) -}}
{% endmacro %}
