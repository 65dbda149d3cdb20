{#- The data dictionary's entry of one Retail Pro table. -#}
{% macro retail_pro_source_table(table_name) %}
    {%- set tables = graph.sources.values()
        | selectattr('source_name', 'equalto', 'retail_pro')
        | selectattr('name', 'equalto', table_name) | list -%}
    {{- return(tables[0]) -}}
{% endmacro %}

{#- The export's column names of one Retail Pro table, from the data dictionary. -#}
{% macro retail_pro_columns(table_name) %}
    {%- set names = [] -%}
    {%- for name in retail_pro_source_table(table_name).columns if not name.startswith('_') -%}
        {%- do names.append(name) -%}
    {%- endfor -%}
    {{- return(names) -}}
{% endmacro %}

{#- Where the rows of one Retail Pro table are: a sample seed or a landing table. -#}
{% macro retail_pro_relation(table_name) %}
    {{- return(
        ref(table_name) if retail_pro_source() == 'seeds' else source('retail_pro', table_name)
    ) -}}
{% endmacro %}
