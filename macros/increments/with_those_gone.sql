{#-
    The rows of a state table for what this build worked on: those of a relation, and once more,
    as gone, those that were there before and are not in it. key: buyer_sid and row_key of the
    document first, which int_documents_changed has.
-#}
{% macro with_those_gone(relation, key) -%}
{%- set worked_on = of_changed_documents() -%}
select
    {{ relation }}.*,
    assumeNotNull((select staged_until from {{ ref('int_build_scope') }})) as built_at,
    toUInt8(0) as is_gone
from {{ relation }}
{%- if is_incremental() %}
union all
select
    * except (built_at, is_gone),
    assumeNotNull((select staged_until from {{ ref('int_build_scope') }})) as built_at,
    toUInt8(1) as is_gone
from (
    select * from {{ this }}
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1
)
where
    {{ worked_on }}
    and ({{ key | join(', ') }}) not in (select {{ key | join(', ') }} from {{ relation }})
{%- endif %}
{%- endmacro %}
