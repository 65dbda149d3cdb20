{#-
    Text that says what some columns of an exported row hold, up to four of them, such as
    QTY is "1,5o", PRICE is empty. Others wrote the values: they are tidied and cut.
-#}
{% macro columns_as_exported(columns, row, names) -%}
arrayStringConcat(arrayMap(
            (name, value) -> concat(name, ' is ', multiIf(
                value = '', 'empty',
                lengthUTF8(value) > 40, concat('"', substringUTF8(value, 1, 39), '…"'),
                concat('"', value, '"')
            )),
            arraySlice({{ names }}, 1, 4),
            arrayMap(
                name -> {{ trimmed(exported_value(columns, row, 'name')) }},
                arraySlice({{ names }}, 1, 4)
            )
        ), ', ')
{%- endmacro %}

{#- The text of the column of a row from a base model that an expression names. -#}
{% macro exported_value(columns, row, name) -%}
map(
    {%- for column in columns -%}
    '{{ column }}', {{ row }}.{{ column }}{{ ', ' if not loop.last }}
    {%- endfor -%}
)[{{ name }}]
{%- endmacro %}
