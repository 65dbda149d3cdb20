{#-
    An amount in a message, exact; null when it is not there. From the text, because
    ClickHouse's JSON functions read numbers as floats. A quote inside JSON text is escaped, so
    the pattern cannot match inside a value.
-#}
{% macro amount_in(message, property) -%}
toDecimal128OrNull(extract({{ message }}, '"{{ property }}":(-?[0-9.]+)'), 6)
{%- endmacro %}
