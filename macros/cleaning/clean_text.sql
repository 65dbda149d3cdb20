{#-
    The columns of an export as select list, tidied once, so that the other macros of this
    folder read plain text: control characters, doubled and outer blanks are gone, a line break
    is a blank, and the ways in which exports write that there is nothing (N/A, NULL, \N, in
    any case) are empty.
-#}
{% macro tidied(columns) -%}
{%- for column in columns %}
        replaceRegexpOne({{ trimmed(column) }}, '^(?i:n/a|null|\\\\n)$', '') as {{ column }},
{%- endfor %}
{%- endmacro %}

{#- Text without control characters and doubled or outer blanks; a line break is a blank. -#}
{% macro trimmed(column) -%}
trim(both ' ' from replaceRegexpAll(
            replaceRegexpAll({{ column }}, '[\\x00-\\x08\\x0E-\\x1F\\x7F]+', ''),
            '[\\s\\x{00A0}\\x{202F}]+', ' '
        ))
{%- endmacro %}

{#- Tidied text; null for none. -#}
{% macro clean_text(column) -%}
nullIf({{ column }}, '')
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
