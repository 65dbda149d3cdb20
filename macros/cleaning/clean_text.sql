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

{#-
    Null for the values that stand for nothing (seed placeholder_values). field:
    `name` or `attribute` for the fillers of those fields, beside those of any text.
-#}
{% macro without_placeholder(expression, field='text') -%}
if(
    upper({{ expression }}) in (
        select value from {{ ref('placeholder_values') }} where applies_to in ('text', '{{ field }}')
    ),
    null, {{ expression }}
)
{%- endmacro %}
