{#-
    Data tests look at what the last build worked on; the rest was looked at when it was built. In
    the `where` of a test, this_build_documents stands for the rows of those documents, and
    this_build_customers for those of those customers.
-#}
{% macro clickhouse__get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if not where -%}
        {{- return(relation) -}}
    {%- endif -%}
    {%- set everything = built_everything() -%}
    {%- set database = relation.schema -%}
    {%- set where = where
        | replace('this_build_documents', 'true' if everything else
            '(buyer_sid, row_key) in (select buyer_sid, row_key from ' ~ database ~ '.int_documents_changed)')
        | replace('this_build_customers', 'true' if everything else
            'row_key in (select row_key from ' ~ database ~ '.int_customers_touched)') -%}
    {{- return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as tested_rows') -}}
{%- endmacro %}

{#- Whether the last build worked on all rows. -#}
{% macro built_everything() %}
    {%- if not execute -%}
        {{- return(true) -}}
    {%- endif -%}
    {%- set scope = load_relation(api.Relation.create(schema=target.schema, identifier='int_build_scope')) -%}
    {{- return(not scope or run_query('select toUInt8(is_rebuild) from ' ~ scope).columns[0].values()[0] == 1) -}}
{% endmacro %}

{#-
    The exported rows of what the last build worked on, as the export has them. Found by the
    primary key of the landing table. staged: the staging model; key: the column or expression
    that is among those of the changed documents.
-#}
{% macro exported_rows_of_this_build(base, staged, key='row_key') -%}
{%- set changed = ref('int_documents_changed') -%}
select * from {{ base }}
    {%- if not built_everything() %}
    where (_loaded_at, SID) in (
        select
            _loaded_at,
            source_sid
        from {{ staged }}
        where {{ key }} in (select row_key from {{ changed }})
    )
    {%- endif %}
{%- endmacro %}

{#- The rows of orders, or of their lines or messages, that the last build worked on. -#}
{% macro orders_of_this_build(relation) -%}
{%- set changed = ref('int_documents_changed') -%}
select * from {{ relation }}
    {%- if not built_everything() %}
    where (buyer_sid, row_key) in (
        select
            buyer_sid,
            row_key
        from {{ changed }}
    )
    {%- endif %}
{%- endmacro %}
