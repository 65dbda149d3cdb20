{#-
    Settings under which toJSONString(cast((...), 'Tuple(name Type, ...)')) is a
    Segment message: absent values omitted at every level, decimals and
    integers as plain JSON numbers with the digits they have. A clause of the
    query itself, since the model's unit tests run without its config.
-#}
{% macro json_settings() -%}
settings
    output_format_json_skip_null_value_in_named_tuples = 1,
    output_format_json_named_tuples_as_objects = 1,
    output_format_json_escape_forward_slashes = 0,
    output_format_json_quote_decimals = 0,
    output_format_json_quote_64bit_integers = 0,
    output_format_decimal_trailing_zeros = 0
{%- endmacro %}
