{#-
    The columns of an export as select list, tidied once, so that the other macros of this
    folder read plain text: control characters, doubled and outer blanks are gone, a line break
    is a blank, and the ways in which exports write that there is nothing (N/A, NULL, \N, in
    any case) are empty. Most text needs none of it, which a look at it tells.
-#}
{% macro tidied(columns) -%}
{%- for column in columns %}
        multiIf(
            match({{ column }}, '[^ -~]|  |^ | $'),
            replaceRegexpOne({{ trimmed(column) }}, '^(?i:n/a|null|\\\\n)$', ''),
            lower({{ column }}) in ('n/a', 'null', '\\n'), '',
            {{ column }}
        ) as {{ column }},
{%- endfor %}
{%- endmacro %}

{#-
    Text without control characters (Unicode's Cc and Cf) and doubled or outer blanks of any
    script; a line break is a blank. A joiner stays after a letter or a picture that it joins, and
    the tags of a flag stay.
-#}
{% macro trimmed(column) -%}
replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(
                    {{ column }},
                    '({{ joined() }}|[\\t-\\r\\x{0085}])|[\\p{Cc}\\p{Cf}]', '\\1'
                ),
                '{{ joiner() }}?{{ blank() }}(?:{{ blank() }}|{{ joiner() }})*', ' '
            ), '^ | ?{{ joiner() }}?$', '')
{%- endmacro %}

{#- Regular expressions of text: a joiner, what a joiner or a tag belongs to, and a blank. -#}
{% macro joiner() -%}
[\\x{200C}\\x{200D}]
{%- endmacro %}

{% macro joined() -%}
[^\\x00-\\x7F\\p{C}\\p{Z}]{{ joiner() }}|\\x{1F3F4}[\\x{E0020}-\\x{E007E}]+\\x{E007F}
{%- endmacro %}

{#- Also those letters that show nothing, such as the filler of Hangul. -#}
{% macro blank() -%}
[\\t-\\r\\x{0085}\\p{Z}\\x{2800}\\x{3164}\\x{FFA0}]
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
