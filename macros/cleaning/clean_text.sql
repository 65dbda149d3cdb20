{#- Text without control characters and doubled or outer blanks; null when nothing is left or only N/A. -#}
{% macro clean_text(column) -%}
nullIf(nullIf({{ trimmed(column) }}, ''), 'N/A')
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
