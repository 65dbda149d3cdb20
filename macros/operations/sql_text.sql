{#- A value as a ClickHouse string literal, whatever characters it has. -#}
{% macro sql_text(value) -%}
'{{ value | string | replace("\\", "\\\\") | replace("'", "\\'") }}'
{%- endmacro %}
