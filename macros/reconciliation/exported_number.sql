{#-
    What a text of the export says as a number, 0 where it says none. For tests that compare
    the export with what was made of it: it shares nothing with clean_decimal, which has
    refused by then what is not a number. More than six decimals are the noise of a float.
-#}
{% macro exported_number(column) -%}
arrayMap(
    exact -> toDecimal128(if(exact = round(exact, 6), exact, round(exact, 4)), 6),
    [ifNull(toDecimal256OrNull(replaceOne(
        replaceRegexpAll({{ column }}, '[^0-9eE{{ var("decimal_separator") }}+-]', ''),
        '{{ var("decimal_separator") }}', '.'
    ), 20), 0)]
)[1]
{%- endmacro %}
