{#-
    Text without control characters and doubled or outer blanks; null for the
    ways in which exports write that there is nothing. NULL is not among them:
    it is somebody's last name.
-#}
{% macro clean_text(column) -%}
if({{ trimmed(column) }} in ('', 'N/A', '\\N'), null, {{ trimmed(column) }})
{%- endmacro %}

{#- Text without control characters and doubled or outer blanks. -#}
{% macro trimmed(column) -%}
trim(both ' ' from replaceRegexpAll({{ column }}, '[\\s\\x00-\\x1F\\x7F\\x{00A0}]+', ' '))
{%- endmacro %}

{#- Null for the values that stand for nothing (seed placeholder_values). -#}
{% macro without_placeholder(expression) -%}
if(
    upper({{ expression }}) in (select value from {{ ref('placeholder_values') }}),
    null, {{ expression }}
)
{%- endmacro %}
