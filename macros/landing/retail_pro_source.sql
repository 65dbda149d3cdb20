{#- Where Retail Pro rows come from: `seeds` or `landing`. -#}
{% macro retail_pro_source() %}
    {%- set name = var('retail_pro_source', env_var('RETAIL_PRO_SOURCE', 'seeds')) -%}
    {%- if name not in ('seeds', 'landing') -%}
        {{ exceptions.raise_compiler_error(
            "retail_pro_source is '" ~ name ~ "'. Set RETAIL_PRO_SOURCE to seeds or landing."
        ) }}
    {%- endif -%}
    {{- return(name) -}}
{% endmacro %}
