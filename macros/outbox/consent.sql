{#-
    A customer's consent as Segment's context.consent: each category that the seed
    marketing_flags names for the customer's flag, with its answer. From columns
    is_opted_in and consent_categories.
-#}
{% macro consent() -%}
tuple(mapFromArrays(
                        consent_categories,
                        arrayMap(category -> ifNull(is_opted_in, false), consent_categories)
                    ))
{%- endmacro %}

{% macro consent_type() -%}
Tuple(categoryPreferences Map(String, Bool))
{%- endmacro %}

{#-
    JSON without consent that names no category: Segment takes an empty one for a refusal of
    all. Another field follows it.
-#}
{% macro without_consent(json) -%}
replaceOne({{ json }}, '"consent":{"categoryPreferences":{}},', '')
{%- endmacro %}
