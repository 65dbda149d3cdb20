{#-
    The instant of a wall-clock time in an IANA zone that differs by row.
    ClickHouse takes only constant zones when it parses, but prints in a zone
    given by a column, so the offset is measured by printing. The second pass
    gives the offset at the instant itself, which differs around a change of
    the clock. A wall time that occurs twice is taken as the later one east of
    Greenwich and as the earlier one west of it.
    wall_time: DateTime64(3, 'UTC') that holds the wall clock; zone: valid name.
-#}
{% macro local_to_utc(wall_time, zone) -%}
{%- set first = wall_time ~ ' - toIntervalSecond(' ~ zone_offset(wall_time, zone) ~ ')' -%}
{{ wall_time }} - toIntervalSecond({{ zone_offset('(' ~ first ~ ')', zone) }})
{%- endmacro %}

{#- Seconds that a zone is ahead of UTC at an instant. -#}
{% macro zone_offset(instant, zone) -%}
dateDiff('second', {{ instant }}, toDateTime64(toString({{ instant }}, {{ zone }}), 3, 'UTC'))
{%- endmacro %}
