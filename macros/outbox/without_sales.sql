{#-
    The body of an identify of a customer to whom traits of orders were sent and of whom no sale
    counts any more: null for the average and the times, and a revenue of 0 unless refunds make
    another one. Else Segment would keep the old values. The same as long as there is no sale.
    said: the customer's last message; empty when there is none.
-#}
{% macro without_sales(body, said) -%}
{%- set gone -%}
arrayConcat(
                if(
                    JSONHas({{ said }}, 'traits', 'lifetimeRevenue')
                    and not JSONHas({{ body }}, 'traits', 'lifetimeRevenue'),
                    ['"lifetimeRevenue":0'], []
                ),
                if(
                    JSONHas({{ said }}, 'traits', 'firstOrderAt'),
                    ['"averageOrderValue":null', '"firstOrderAt":null', '"lastOrderAt":null'], []
                )
            )
{%- endset -%}
if(
            {{ has_sales(body) }} or empty({{ gone }}), {{ body }},
            replaceOne(
                {{ body }}, '"traits":{',
                concat(
                    '"traits":{', arrayStringConcat({{ gone }}, ','),
                    if(position({{ body }}, '"traits":{}') > 0, '', ',')
                )
            )
        )
{%- endmacro %}

{#- Whether the body of an identify counts a sale. A quote inside JSON text is escaped. -#}
{% macro has_sales(body) -%}
(position({{ body }}, '"firstOrderAt":"') > 0)
{%- endmacro %}
