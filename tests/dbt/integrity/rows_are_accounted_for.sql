{#- Only after a build over all rows: it reads them all. changed_rows_are_built and
    sendable_rows_have_a_message look at what other builds worked on. -#}
-- Kinds of rows whose numbers do not add up: read = sent + unchanged + pending + held +
-- rejected + resolved + not an event. And those with rows that were there before this build and
-- have neither a message nor a reason after it; where a table does not say when its rows came,
-- they may have come in meanwhile.
{%- set came_before_this_build -%}
first_loaded_at < toDateTime64('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}', 6, 'UTC')
            {{- ' and first_loaded_at > toDateTime64(0, 3)' if retail_pro_source() == 'landing' }}
{%- endset %}
{%- if not works_on_everything() %}
select 'none' as entity_type
where false
{%- else %}
with accounted as (

    select
        entity_type,
        sum(`rows`) as accounted_rows,
        sumIf(`rows`, reason = 'not_built' and {{ came_before_this_build }}) as lost_rows
    from {{ ref('segment_row_accounting') }}
    group by entity_type

),

exported as (

    select
        'customer' as entity_type,
        count() as exported_rows
    from {{ ref('base_retail_pro__customers') }}
    union all
    select
        'order' as entity_type,
        count() as exported_rows
    from {{ ref('base_retail_pro__documents') }}
    union all
    select
        'order_line' as entity_type,
        count() as exported_rows
    from {{ ref('base_retail_pro__document_items') }}

)

select
    exported.entity_type as entity_type,
    exported.exported_rows as exported_rows,
    accounted.accounted_rows as accounted_rows,
    accounted.lost_rows as rows_without_message_or_reason
from exported
left join accounted on exported.entity_type = accounted.entity_type
where exported_rows != accounted_rows or rows_without_message_or_reason > 0
{%- endif %}
