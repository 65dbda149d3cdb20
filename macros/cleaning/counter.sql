{#-
    A counter of a customer, as the variable customer_counters says: from the documents, or the
    one that Retail Pro keeps. For the mart of customers.
-#}
{% macro counter(from_documents, from_columns) -%}
{%- if var('customer_counters') == 'documents' -%}
toDecimal128(ifNull(order_totals.{{ from_documents }}, 0), 6)
{%- elif var('customer_counters') == 'columns' -%}
screened.{{ from_columns }}
{%- else -%}
{{ exceptions.raise_compiler_error(
    "The variable customer_counters is '" ~ var('customer_counters') ~ "'. Set it to documents or columns."
) }}
{%- endif -%}
{%- endmacro %}
