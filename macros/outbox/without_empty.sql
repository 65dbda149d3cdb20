{#-
    JSON without those fields that are an empty array or object. Only fields
    that another field follows. A quote inside JSON text is escaped, so the
    pattern cannot match inside a value.
-#}
{% macro without_empty(json, fields) -%}
replaceRegexpAll({{ json }}, '"({{ fields | join("|") }})":(\\[\\]|\\{\\}),', '')
{%- endmacro %}
