-- Kinds of rows of which more or fewer are staged than have come, since the oldest row that this
-- build staged.
{%- set tables = {
    'customer': ['base_retail_pro__customers', 'stg_retail_pro__customers'],
    'order': ['base_retail_pro__documents', 'stg_retail_pro__documents'],
    'order_line': ['base_retail_pro__document_items', 'stg_retail_pro__document_items'],
} %}
with scope as (

    select * from {{ ref('int_build_scope') }}

),

counted as (

    {% for entity_type, models in tables.items() -%}
        {% for model in models -%}
            {{ 'union all' if not (loop.first and entity_type == 'customer') }}
            select
                '{{ entity_type }}' as entity_type,
                {{ loop.index0 }} as is_staged,
                count() as found_rows
            from {{ ref(model) }}
            where _loaded_at >= (
                select minOrNull(_loaded_at) from {{ ref(models[1]) }}
                where _staged_at > (select built_until from scope)
            )
        {% endfor %}
    {% endfor %}

)

select
    entity_type,
    sumIf(found_rows, is_staged = 0) as rows_that_came,
    sumIf(found_rows, is_staged = 1) as staged_rows
from counted
group by entity_type
having rows_that_came != staged_rows
