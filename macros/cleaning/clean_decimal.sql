{#-
    An exact decimal from text; null unless it is plain digits with an optional
    sign and a point (Oracle prints .5). Checked first because ClickHouse would read 1e3.
-#}
{% macro clean_decimal(column) -%}
if(
    match({{ trimmed(column) }}, '^-?([0-9]{1,15}(\\.[0-9]{1,6})?|\\.[0-9]{1,6})$'),
    toDecimal128OrNull({{ trimmed(column) }}, 6), null
)
{%- endmacro %}

{#- A whole number from text, also one that went through a float (4.0), else null. -#}
{% macro clean_integer(column) -%}
toInt64OrNull({{ without_zero_decimals(column) }})
{%- endmacro %}

{% macro without_zero_decimals(column) -%}
replaceRegexpOne({{ trimmed(column) }}, '^(-?[0-9]+)\\.0+$', '\\1')
{%- endmacro %}

{#- 1 or 0 from the ways in which Retail Pro and its exporters write a flag, else null. -#}
{% macro clean_boolean(column) -%}
multiIf(
    lower({{ without_zero_decimals(column) }}) in ('1', 'true', 't', 'y', 'yes'), 1,
    lower({{ without_zero_decimals(column) }}) in ('0', 'false', 'f', 'n', 'no'), 0,
    null
)
{%- endmacro %}

{#- The names of those columns that hold something which the given macro cannot read. -#}
{% macro unreadable_columns(columns, reader) -%}
arrayFilter(
    name -> name != '',
    [
        {%- for column in columns %}
        if({{ clean_text(column) }} is not null and {{ reader(column) }} is null, '{{ column }}', ''){{ ',' if not loop.last }}
        {%- endfor %}
    ]
)
{%- endmacro %}
