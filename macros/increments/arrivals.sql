{#- The base and the staging model of each table of the export. -#}
{% macro retail_pro_models() %}
    {{- return({
        'customer': {'base': 'base_retail_pro__customers', 'staged': 'stg_retail_pro__customers'},
        'document': {'base': 'base_retail_pro__documents', 'staged': 'stg_retail_pro__documents'},
        'document_item': {
            'base': 'base_retail_pro__document_items', 'staged': 'stg_retail_pro__document_items'
        },
    }) -}}
{% endmacro %}

{#- Whether there is a table of committed loads; a pipeline of one's own need not have it. -#}
{% macro has_loads() %}
    {%- set loads = source('retail_pro', 'loads') -%}
    {{- return(retail_pro_source() == 'landing' and (not execute or load_relation(loads) is not none)) -}}
{% endmacro %}

{#-
    What builds that came to their end have staged: a subquery of loads, each with the newest time
    of arrival of its rows. None when this build stages all rows anew. By the name of the model,
    which is built after the one that asks.
-#}
{% macro staged_before(model) %}
    {%- if not execute or rebuilds_everything() -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set relation = load_relation(api.Relation.create(schema=target.schema, identifier=model)) -%}
    {%- if not relation -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set subquery -%}
(
        select
            _load_id,
            max(_loaded_at) as last_loaded_at
        from {{ relation }}
        group by _load_id, _staged_at
        having _staged_at <= {{ built_until() }}
    )
    {%- endset -%}
    {{- return(subquery) -}}
{% endmacro %}

{#-
    The time of arrival up to which rows of other pipelines are certainly staged: an hour before
    the newest of them, since an insert may have been under way. What claims to have come later
    than now was written under a wrong clock, and must not hide the rows that come after it.
    staged: as `staged_before` returns it.
-#}
{% macro surely_staged_until(staged) -%}
{%- if not staged -%}
toDateTime64(0, 3, 'UTC')
{%- else -%}
coalesce(maxOrNullIf(last_loaded_at, _load_id = ''), max(last_loaded_at)) - interval 1 hour
    from {{ staged }}
    where last_loaded_at <= now64(3, 'UTC')
{%- endif -%}
{%- endmacro %}

{#-
    The condition that a row of a base model, or of a staging model, belongs to what had come when
    this build began and was not staged then. Of other pipelines it includes what has come since.
-#}
{% macro has_arrived(table_name) -%}
{%- set new_arrivals -%}
from {{ ref('stg_retail_pro__arrivals') }}
                where table_name = '{{ table_name }}' and is_new and load_id
{%- endset -%}
(
            _load_id in (
                select load_id {{ new_arrivals }} != ''
            )
            and _loaded_at >= (
                select coalesce(minOrNull(since), now64(3, 'UTC')) {{ new_arrivals }} != ''
            )
        )
        or (
            _load_id = '' and _loaded_at >= (
                select min(since) {{ new_arrivals }} = ''
            )
        )
{%- endmacro %}
