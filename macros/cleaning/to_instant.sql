{#-
    The instant of a wall-clock time: by the offset that its text stated, else
    by the given zone, where empty stands for none; null when neither is known.
-#}
{% macro to_instant(wall_time, offset, zone) -%}
multiIf(
            {{ offset }} is not null, {{ wall_time }} - toIntervalSecond(ifNull({{ offset }}, 0)),
            {{ zone }} != '', {{ local_to_utc(wall_time, "if(" ~ zone ~ " = '', 'UTC', " ~ zone ~ ")") }},
            null
        )
{%- endmacro %}
