{#-
    The instant of a wall-clock time in an IANA zone that differs by row.
    ClickHouse takes only constant zones when it parses, but prints in a zone
    given by a column, so offsets are measured by printing. In all zones a wall time
    that occurs twice is the earlier instant, and one that the clock skips the later one, as
    Java takes them: both times by the offset before the change of the clock.
    wall_time: DateTime64(3, 'UTC') that holds the wall clock; zone: valid name.
-#}
{% macro local_to_utc(wall_time, zone) -%}
{{ clock_reading(wall_time, zone) }}.1
{%- endmacro %}

{#- `skipped` or `repeated` for a wall-clock time that a zone has not or has twice, else empty. -#}
{% macro clock_change(wall_time, zone) -%}
{{ clock_reading(wall_time, zone) }}.2
{%- endmacro %}

{#-
    Both in one. A day before and a day after, the offset is that of before and after a change
    if there is one; seldom is there one, and then both are tried.
-#}
{% macro clock_reading(wall_time, zone) -%}
arrayMap(
                (clock, place, before, after) -> multiIf(
                    ifNull(before = after, 1), (clock - toIntervalSecond(before), ''),
                    {{ zone_offset('(clock - toIntervalSecond(before))', 'place') }} = before,
                    (
                        clock - toIntervalSecond(before),
                        if(
                            {{ zone_offset('(clock - toIntervalSecond(after))', 'place') }} = after,
                            'repeated', ''
                        )
                    ),
                    {{ zone_offset('(clock - toIntervalSecond(after))', 'place') }} = after,
                    (clock - toIntervalSecond(after), ''),
                    (clock - toIntervalSecond(before), 'skipped')
                ),
                [{{ wall_time }}], [{{ zone }}],
                [{{ zone_offset('(' ~ wall_time ~ ' - toIntervalDay(1))', zone) }}],
                [{{ zone_offset('(' ~ wall_time ~ ' + toIntervalDay(1))', zone) }}]
            )[1]
{%- endmacro %}

{#- Seconds that a zone is ahead of UTC at an instant. -#}
{% macro zone_offset(instant, zone) -%}
dateDiff('second', {{ instant }}, toDateTime64(toString({{ instant }}, {{ zone }}), 3, 'UTC'))
{%- endmacro %}
