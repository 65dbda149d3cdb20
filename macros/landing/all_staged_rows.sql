{#-
    All rows of the three staging models, every version of them, one below the other:
    entity_type, the given expressions, and the time of arrival.
-#}
{% macro all_staged_rows(expressions) -%}
{%- set models = {
    'customer': ref('stg_retail_pro__customers'),
    'order': ref('stg_retail_pro__documents'),
    'order_line': ref('stg_retail_pro__document_items'),
} -%}
{%- for entity_type, model in models.items() %}
    {%- if not loop.first %}
    union all
    {% endif -%}
    select
        '{{ entity_type }}' as entity_type,
        {%- for expression in expressions %}
        {{ expression }},
        {%- endfor %}
        _loaded_at
    from {{ model }}
{%- endfor %}
{%- endmacro %}
