{#- The instant of a pair of a clock's time and the offset that stands behind it. -#}
{% macro exported_instant(time) -%}
{{ time }}.1 - toIntervalSecond(
                    if(startsWith({{ time }}.2, '-'), -1, 1) * (
                        3600 * toInt32OrZero(substring({{ time }}.2, 2, 2))
                        + 60 * toInt32OrZero(substring(replaceOne({{ time }}.2, ':', ''), 4, 2))
                    )
                )
{%- endmacro %}

{#-
    Whether an instant is what a clock shows in a zone: read back it is the same and no earlier
    instant is; or the clock was put forward over what it is said to have shown, and it is read back
    as much later.
-#}
{% macro reads_as(instant, zone, clock) -%}
arrayExists(
                        later -> if(
                            later = 0,
                            not arrayExists(
                                before -> {{ read_back(instant ~ ' - before', zone) }} = {{ clock }},
                                [1800, 3600]
                            ),
                            later > 0
                            and {{ read_back(instant ~ ' - later', zone) }} = {{ clock }} - later
                        ),
                        [dateDiff('second', {{ clock }}, {{ read_back(instant, zone) }})]
                    )
{%- endmacro %}

{#- What the clocks of a zone show at an instant. -#}
{% macro read_back(instant, zone) -%}
toDateTime(toString({{ instant }}, {{ zone }}), 'UTC')
{%- endmacro %}
