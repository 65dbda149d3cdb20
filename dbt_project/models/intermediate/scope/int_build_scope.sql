-- What this build works on: the rows that were staged since the last build that came to its end,
-- or all of them.
{%- set rebuilds = rebuilds_everything() %}
select
    {{ 'true' if rebuilds else 'false' }} as is_rebuild,
    '{{ build_fingerprint() }}' as fingerprint,
    {{ 'toDateTime64(0, 6)' if rebuilds else 'min(got_until)' }} as built_until,
    greatest(now64(6, 'UTC'), max(got_until) + toIntervalMicrosecond(1)) as staged_until
from (
    select max(staged_until) as got_until
    from {{ source('segment_delivery', 'segment_build_progress') }}
    group by call
)
-- Staged before this is asked for.
-- depends_on: {{ ref('stg_retail_pro__customers') }}
-- depends_on: {{ ref('stg_retail_pro__documents') }}
-- depends_on: {{ ref('stg_retail_pro__document_items') }}
