{#- Only after a build over all rows: it reads them all. changed_rows_are_built and
    sendable_rows_have_a_message look at what other builds worked on. -#}
-- Kinds of rows whose numbers do not add up: staged = sent + unchanged + pending + held +
-- rejected + resolved + not an event. And those with rows that have neither a message nor a
-- reason. That all rows of the export are staged is the business of new_rows_are_staged.
{%- if not works_on_everything() %}
select 'none' as entity_type
where false
{%- else %}
with accounted as (

    select
        entity_type,
        sum(`rows`) as accounted_rows,
        sumIf(`rows`, reason = 'not_built') as lost_rows
    from {{ ref('segment_row_accounting') }}
    group by entity_type

),

staged as (

    select
        entity_type,
        count() as staged_rows
    from ({{ all_staged_rows(['row_key']) }})
    group by entity_type

)

select
    staged.entity_type as entity_type,
    staged.staged_rows as staged_rows,
    accounted.accounted_rows as accounted_rows,
    accounted.lost_rows as rows_without_message_or_reason
from staged
left join accounted on staged.entity_type = accounted.entity_type
where staged_rows != accounted_rows or rows_without_message_or_reason > 0
{%- endif %}
