{#- Some regions put the whole name into FIRST_NAME: several words there and no LAST_NAME. -#}
{% macro is_whole_name() -%}
screened.last_name is null and position(ifNull(screened.first_name, ''), ' ') > 0
{%- endmacro %}
