{#- The export's column names of one Retail Pro table, from the data dictionary. -#}
{% macro retail_pro_columns(table_name) %}
    {%- set tables = graph.sources.values()
        | selectattr('source_name', 'equalto', 'retail_pro')
        | selectattr('name', 'equalto', table_name) | list -%}
    {%- set names = [] -%}
    {%- for name in tables[0].columns if not name.startswith('_') -%}
        {%- do names.append(name) -%}
    {%- endfor -%}
    {{- return(names) -}}
{% endmacro %}
