{#-
    Where Retail Pro rows come from: `seeds` or `landing`. The variable
    retail_pro_source wins over the environment's RETAIL_PRO_SOURCE. When both
    are silent it is `landing` if an export directory is configured, else `seeds`,
    but only on the embedded target.
    dbt_project.yml switches the sample seeds by the same rule.
-#}
{% macro retail_pro_source() %}
    {%- set stated = var('retail_pro_source', env_var('RETAIL_PRO_SOURCE', ''))
        or ('landing' if env_var('RETAIL_PRO_EXPORT_DIR', '') else '') -%}
    {%- if not stated and target.name != 'embedded' -%}
        {{ exceptions.raise_compiler_error(
            "Nothing says which rows to build, and the sample must not reach a real server by"
            ~ " default. Set RETAIL_PRO_SOURCE=landing (or seeds), or RETAIL_PRO_EXPORT_DIR."
        ) }}
    {%- endif -%}
    {%- set name = stated or 'seeds' -%}
    {%- if name not in ('seeds', 'landing') -%}
        {{ exceptions.raise_compiler_error(
            "retail_pro_source is '" ~ name ~ "'. Set RETAIL_PRO_SOURCE to seeds or landing."
        ) }}
    {%- endif -%}
    {{- return(name) -}}
{% endmacro %}
