{#-
    Where Retail Pro rows come from: `seeds` or `landing`. The variable
    retail_pro_source wins over the environment's RETAIL_PRO_SOURCE. When both
    are silent it is `landing` if an export directory is configured.
    dbt_project.yml switches the sample seeds by the same rule.
-#}
{% macro retail_pro_source() %}
    {%- set name = var('retail_pro_source', env_var('RETAIL_PRO_SOURCE', ''))
        or ('landing' if env_var('RETAIL_PRO_EXPORT_DIR', '') else 'seeds') -%}
    {%- if name not in ('seeds', 'landing') -%}
        {{ exceptions.raise_compiler_error(
            "retail_pro_source is '" ~ name ~ "'. Set RETAIL_PRO_SOURCE to seeds or landing."
        ) }}
    {%- endif -%}
    {{- return(name) -}}
{% endmacro %}
