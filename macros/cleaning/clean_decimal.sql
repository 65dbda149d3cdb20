{#-
    An exact decimal from text; null unless it is plain digits with an optional
    sign, in the export's one form of numbers: a point (Oracle prints .5), or what the
    variables decimal_separator and thousands_separator say. Checked first because
    ClickHouse would read 1e3. Zeros may follow the six decimals that are kept. A float that
    was printed with all its digits is read too; see float_form.
-#}
{% macro clean_decimal(column) -%}
multiIf(
    match({{ column }}, '{{ number_form() }}'),
    toDecimal128OrNull({{ with_point(column) }}, 6),
    match({{ column }}, '{{ float_form() }}'), {{ without_float_noise(column) }},
    null
)
{%- endmacro %}

{#-
    The decimal that a float stands for: rounded to four places, if that changes it by less than
    a billionth, so that nothing but the float's own noise is lost; else null.
-#}
{% macro without_float_noise(column) -%}
arrayMap(
        exact -> if(
            abs(exact) < 1000000000000000
            and abs(exact - round(exact, 4)) * 1000000000 < greatest(abs(exact), toDecimal256(1, 20)),
            toDecimal128(round(exact, 4), 6), null
        ),
        [toDecimal256OrNull({{ with_point(column) }}, 20)]
    )[1]
{%- endmacro %}

{#-
    Regular expression of a float with at least the 15 digits that it has for certain, such as
    19.989999999999998 or 3.55271367880050E-15. What has fewer was written by somebody.
-#}
{% macro float_form() -%}
^-?0{0,15}[{{ var('decimal_separator') }}]?0*[1-9](?:[{{ var('decimal_separator') }}]?[0-9]){14,40}(?:[eE][+-]?[0-9]{1,2})?$
{%- endmacro %}

{#- Regular expression of a number in the export's form. -#}
{% macro number_form() -%}
{%- set point, thousands = var('decimal_separator'), var('thousands_separator') -%}
{%- if point not in ('.', ',') or thousands not in ('', '.', ',', ' ') or point == thousands -%}
    {{ exceptions.raise_compiler_error(
        "decimal_separator is '" ~ point ~ "' and thousands_separator '" ~ thousands
        ~ "'. Set the first to a point or a comma, and the second to the other one, to a blank"
        ~ " or to nothing."
    ) }}
{%- endif -%}
{%- set grouped = '|[0-9]{1,3}([' ~ thousands ~ '][0-9]{3}){1,4}' if thousands else '' -%}
^-?(([0-9]{1,15}{{ grouped }})([{{ point }}][0-9]{1,6}0*)?|[{{ point }}][0-9]{1,6}0*)$
{%- endmacro %}

{#- The text of a number without thousands separators and with a point. -#}
{% macro with_point(column) -%}
{%- set thousands = var('thousands_separator') -%}
{%- set digits = "replaceAll(" ~ column ~ ", '" ~ thousands ~ "', '')" if thousands else column -%}
{{ "replaceOne(" ~ digits ~ ", ',', '.')" if var('decimal_separator') == ',' else digits }}
{%- endmacro %}

{#- A whole number from text, also one that went through a float (4.0), else null. -#}
{% macro clean_integer(column) -%}
toInt64OrNull({{ without_zero_decimals(column) }})
{%- endmacro %}

{% macro without_zero_decimals(column) -%}
replaceRegexpOne({{ column }}, '^(-?[0-9]+)[{{ var('decimal_separator') }}]0+$', '\\1')
{%- endmacro %}

{#- 1 or 0 from the ways in which Retail Pro and its exporters write a flag, else null. -#}
{% macro clean_boolean(column) -%}
transform(
    lower({{ without_zero_decimals(column) }}),
    ['1', 'true', 't', 'y', 'yes', '0', 'false', 'f', 'n', 'no'],
    [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]::Array(Nullable(UInt8)),
    null
)
{%- endmacro %}

{#- The names of those columns that hold something which the given macro cannot read. -#}
{% macro unreadable_columns(columns, reader) -%}
arrayFilter(name -> name != '', [
            {%- for column in columns %}
            if({{ column }} != '' and {{ reader(column) }} is null, '{{ column }}', ''){{ ',' if not loop.last }}
            {%- endfor %}
        ])
{%- endmacro %}

{#- The names of those columns of numbers that held the noise of a float. -#}
{% macro rounded_columns(columns) -%}
if(
            match(concatWithSeparator(' ', {{ columns | join(', ') }}), '[0-9]{7}'),
            arrayFilter(name -> name != '', [
                {%- for column in columns %}
                if(
                    match({{ column }}, '{{ float_form() }}')
                    and not match({{ column }}, '{{ number_form() }}'),
                    '{{ column }}', ''
                ){{ ',' if not loop.last }}
                {%- endfor %}
            ]), []
        )
{%- endmacro %}
