{#-
    What a text of the export says as a number, 0 where it says none. For tests that compare
    the export with what was made of it: it shares nothing with clean_decimal, which has
    refused by then what is not a number.
-#}
{% macro exported_number(column) -%}
ifNull(toDecimal128OrNull(replaceOne(
    replaceRegexpAll({{ column }}, '[^0-9{{ var("decimal_separator") }}-]', ''),
    '{{ var("decimal_separator") }}', '.'
), 6), 0)
{%- endmacro %}
