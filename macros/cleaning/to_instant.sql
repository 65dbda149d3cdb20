{#-
    The instant of a wall-clock time: by the offset that its text stated, else
    by the given zone; null when neither is known.
-#}
{% macro to_instant(wall_time, offset, zone, has_zone) -%}
multiIf(
    {{ offset }} is not null, {{ wall_time }} - toIntervalSecond(ifNull({{ offset }}, 0)),
    {{ has_zone }}, {{ local_to_utc(wall_time, zone) }},
    null
)
{%- endmacro %}
