{#- A time as Segment wants it: UTC, ISO 8601, milliseconds, Z. -#}
{% macro iso_time_utc(expression) -%}
concat(replaceOne(toString(toDateTime64({{ expression }}, 3, 'UTC')), ' ', 'T'), 'Z')
{%- endmacro %}
