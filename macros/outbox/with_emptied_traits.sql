{#-
    Due identify messages. If the variable erase_emptied_traits is true, with null for each
    trait that the customer's message before had and this one has not, which erases the trait
    at Segment. due: a CTE with body and last_message_id, in a build of the events table.
-#}
{% macro with_emptied_traits(due) -%}
{%- if not (var('erase_emptied_traits') and is_incremental()) -%}
select * from {{ due }}
{%- else -%}
select
        {{ due }}.* except (body),
        arrayMap(
            trait -> concat('"', trait, '":null'),
            arrayFilter(
                trait -> not has(JSONExtractKeys({{ due }}.body, 'traits'), trait)
                and JSONExtractRaw(said.message, 'traits', trait) != 'null',
                JSONExtractKeys(said.message, 'traits')
            )
        ) as erased,
        multiIf(
            empty(erased), {{ due }}.body,
            position({{ due }}.body, '"traits":{}') > 0,
            replaceOne({{ due }}.body, '"traits":{', concat('"traits":{', arrayStringConcat(erased, ','))),
            replaceOne(
                {{ due }}.body, '"traits":{', concat('"traits":{', arrayStringConcat(erased, ','), ',')
            )
        ) as body
    from {{ due }}
    left join (
        select
            message_id,
            message
        from {{ this }}
        where message_id in (select last_message_id from {{ due }})
    ) as said on {{ due }}.last_message_id = said.message_id
{%- endif -%}
{%- endmacro %}
