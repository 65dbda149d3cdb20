{#-
    All rows of the three tables as they were exported, one below the other: entity_type, the
    given expressions, and a hash of the whole content, which tells copies from versions.
-#}
{% macro all_exported_rows(expressions) -%}
{%- set bases = {
    'customer': ref('base_retail_pro__customers'),
    'order': ref('base_retail_pro__documents'),
    'order_line': ref('base_retail_pro__document_items'),
} -%}
{%- for entity_type, base in bases.items() %}
    {%- if not loop.first %}
    union all
    {% endif -%}
    select
        '{{ entity_type }}' as entity_type,
        {%- for expression in expressions %}
        {{ expression }},
        {%- endfor %}
        {{ content_hash() }} as content_hash,
        _loaded_at
    from {{ base }}
{%- endfor %}
{%- endmacro %}
