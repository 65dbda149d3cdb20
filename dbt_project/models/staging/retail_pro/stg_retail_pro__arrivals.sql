{{ config(
    materialized='table',
    engine=replicated('MergeTree()'),
    order_by='(table_name, load_id)',
) }}
-- What had come when this build began. Rows go on arriving while it works; it stages no load that
-- is not listed here, and its data tests ask for no row that came later.
{%- for table_name, models in retail_pro_models().items() %}
{%- set staged = staged_before(models.staged) %}
{%- if not loop.first %}
union all
{%- endif %}
{%- if has_loads() %}
select
    '{{ table_name }}' as table_name,
    load_id,
    {{ "load_id not in (select _load_id from " ~ staged ~ ")" if staged else 'true' }} as is_new,
    -- The rows of a load bear the time at which it began.
    loaded_at - interval 1 day as since,
    loaded_at as until,
    toUInt64(`rows`) as arrived_rows
from {{ source('retail_pro', 'loads') }} as loads
where loads.table_name = '{{ table_name }}'
union all
{%- endif %}
select
    '{{ table_name }}' as table_name,
    '' as load_id,
    true as is_new,
    (select {{ surely_staged_until(staged) }}) as since,
    max(_loaded_at) as until,
    count() as arrived_rows
from {{ ref(models.base) }}
where _load_id = '' and _loaded_at >= (select {{ surely_staged_until(staged) }})
{%- endfor %}
