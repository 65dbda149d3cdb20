{#-
    Every view carries the settings that its rows depend on, so that analysts, dashboards and the
    sender read the same whatever their profile says. The values are those of pinned_settings in
    profiles.yml; what concerns inserts or the last step of a reader's own query has no place here.
-#}
{% macro clickhouse__get_create_view_as_sql(relation, sql) -%}
{{ return(create_view_as(relation, "select * from (\n" ~ sql ~ "\n)\n" ~ view_settings())) }}
{%- endmacro %}

{% macro view_settings() -%}
{%- set names = [
    'aggregate_functions_null_for_empty',
    'apply_deleted_mask',
    'asterisk_include_alias_columns',
    'asterisk_include_materialized_columns',
    'bool_false_representation',
    'bool_true_representation',
    'cast_keep_nullable',
    'cast_string_to_date_time_mode',
    'count_distinct_implementation',
    'date_time_input_format',
    'date_time_output_format',
    'date_time_overflow_behavior',
    'decimal_check_overflow',
    'distinct_overflow_mode',
    'do_not_merge_across_partitions_select_final',
    'empty_result_for_aggregation_by_constant_keys_on_empty_set',
    'empty_result_for_aggregation_by_empty_set',
    'enable_extended_results_for_datetime_functions',
    'enable_named_columns_in_function_tuple',
    'except_default_mode',
    'final',
    'formatdatetime_f_prints_scale_number_of_digits',
    'formatdatetime_f_prints_single_zero',
    'formatdatetime_format_without_leading_zeros',
    'formatdatetime_parsedatetime_m_is_month_name',
    'group_by_overflow_mode',
    'group_by_use_nulls',
    'intersect_default_mode',
    'join_any_take_last_row',
    'join_default_strictness',
    'join_overflow_mode',
    'join_use_nulls',
    'least_greatest_legacy_null_behavior',
    'output_format_decimal_trailing_zeros',
    'output_format_json_escape_forward_slashes',
    'output_format_json_map_as_array_of_tuples',
    'output_format_json_named_tuples_as_objects',
    'output_format_json_quote_64bit_floats',
    'output_format_json_quote_64bit_integers',
    'output_format_json_quote_decimals',
    'output_format_json_quote_denormals',
    'output_format_json_skip_null_value_in_named_tuples',
    'output_format_json_validate_utf8',
    'parsedatetime_e_requires_space_padding',
    'parsedatetime_parse_without_leading_zeros',
    'prefer_column_name_to_alias',
    'read_overflow_mode',
    'session_timezone',
    'set_overflow_mode',
    'sort_overflow_mode',
    'splitby_max_substrings_includes_remaining_string',
    'timeout_overflow_mode',
    'transform_null_in',
    'union_default_mode',
    'use_variant_as_common_type',
] -%}
settings
{%- for name in names %}
    {{ name }} = '{{ target.custom_settings[name] }}'{{ "," if not loop.last }}
{%- endfor %}
{%- endmacro %}
