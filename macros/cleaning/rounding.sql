{#-
    How far sums may differ before they count as different: five minor units,
    which covers cash rounding to 0.05. minor_units: digits after the point.
-#}
{% macro rounding_tolerance(minor_units) -%}
multiIf({{ minor_units }} = 0, toDecimal128(5, 6), {{ minor_units }} = 3, toDecimal128('0.005', 6), {{ minor_units }} = 4, toDecimal128('0.0005', 6), toDecimal128('0.05', 6))
{%- endmacro %}

{#- An amount computed from lines, rounded half away from zero to what the currency can pay. -#}
{% macro round_to_minor_units(amount, minor_units) -%}
toDecimal128(
    multiIf(
        {{ minor_units }} = 0, round({{ amount }}, 0),
        {{ minor_units }} = 3, round({{ amount }}, 3),
        {{ minor_units }} = 4, round({{ amount }}, 4),
        round({{ amount }}, 2)
    ), 6
)
{%- endmacro %}
