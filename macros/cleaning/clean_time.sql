{#-
    The wall-clock time in a text, as DateTime64(3, 'UTC') that holds the wall
    clock and not yet an instant; null when the text is in none of the forms
    that are read (ISO 8601, Oracle's default, those of the variable
    date_formats), or a filler.
-#}
{% macro clean_wall_time(column) -%}
arrayMap(
            parsed -> if({{ is_plausible_year('toYear(parsed)') }}, parsed, null),
            [{{ parsed_wall_time(column) }}]
        )[1]
{%- endmacro %}

{#-
    Whether a text is a time that stands for none, such as 0001-01-01 or
    2099-12-31: well formed, and of a year in which nobody sold anything.
-#}
{% macro is_filler_time(column) -%}
if(
            match({{ column }}, '^[0-9]{4}-[0-9]{2}-[0-9]{2}'),
            not {{ is_plausible_year('toUInt16OrZero(left(' ~ column ~ ', 4))') }},
            ifNull(not {{ is_plausible_year('toYear(' ~ parsed_wall_time(column) ~ ')') }}, 0)
        )
{%- endmacro %}

{% macro is_plausible_year(year) -%}
({{ year }} between 1990 and 2098)
{%- endmacro %}

{#-
    The text without its zone, in a form that ClickHouse reads without
    guessing. It would take a two-digit year for an hour, so the century is
    written out as Oracle's RR does: 50 to 99 are 19xx. It would also carry hour
    25 over into the next day, hence the bounds in the patterns below. A lambda
    names the text, because an expression that repeats it is slow to plan.
-#}
{% macro parsed_wall_time(column) -%}
arrayMap(
                clock -> coalesce(
                    parseDateTime64BestEffortOrNull(
                        multiIf(
                            match(clock, '{{ iso_time() }}'),
                            replaceRegexpOne(clock, '{{ iso_time() }}', '\\1 \\2\\3'),
                            match(clock, '{{ oracle_time() }}'),
                            replaceRegexpOne(
                                replaceRegexpOne(
                                    replaceRegexpOne(
                                        if(position(clock, ' ') = 0, concat(clock, ' 00:00:00'), clock),
                                        '{{ oracle_time() }}', '\\1 \\2 \\3 \\4:\\5:\\6 \\7'
                                    ), '^(.{7})([0-4][0-9]) ', '\\120\\2 '
                                ), '^(.{7})([5-9][0-9]) ', '\\119\\2 '
                            ),
                            ''
                        ), 3, 'UTC'
                    )
                    {%- for format in var('date_formats') %},
                    toDateTime64(parseDateTimeOrNull(clock, '{{ format }}', 'UTC'), 3, 'UTC')
                    {%- endfor %}
                ),
                [{{ clock_text(column) }}]
            )[1]
{%- endmacro %}

{#- Seconds ahead of UTC that a time's own text states; null when it states none. -#}
{% macro clean_offset(column) -%}
arrayMap(
            zone -> multiIf(
                zone in ('Z', 'UTC', 'GMT'), 0,
                match(zone, '^[+-]'),
                if(left(zone, 1) = '-', -1, 1) * (
                    3600 * toInt32OrZero(substring(zone, 2, 2))
                    + 60 * toInt32OrZero(extract(zone, '^...:?([0-9]{2})$'))
                ),
                null
            ),
            [{{ zone_text(column) }}]
        )[1]
{%- endmacro %}

{#- The IANA zone that a time's own text names, in upper case (Oracle writes it so); else null. -#}
{% macro clean_zone(column) -%}
nullIf(extract({{ zone_text(column) }}, '.*/.*'), '')
{%- endmacro %}

{#- What a time's text says after the clock: an offset or a zone, in upper case; else empty. -#}
{% macro zone_text(column) -%}
extract(upper({{ column }}), '{{ zone_form() }}')
{%- endmacro %}

{#- A time's text up to its zone, in upper case. -#}
{% macro clock_text(column) -%}
trim(trailing ' ' from left(upper({{ column }}), length({{ column }}) - length({{ zone_text(column) }})))
{%- endmacro %}

{#- Abbreviations such as EST or CST are no zones: they mean different ones in different places. -#}
{% macro zone_form() -%}
[0-9][:.][0-9]{2}(?:[.,][0-9]+)?(?: ?[AP]M\\b)? ?(Z|UTC|GMT|{{ offset_form() }}|[A-Z_]+(?:/[A-Z0-9_+-]+)+)$
{%- endmacro %}

{#- From -12:00 to +14:00, the offsets that there are; of whole hours as PostgreSQL prints them. -#}
{% macro offset_form() -%}
(?:[+-](?:0[0-9]|1[01])|[+]1[23])(?::?[0-5][0-9])?|(?:-12|[+]14)(?::?00)?
{%- endmacro %}

{% macro iso_time() -%}
^([0-9]{4}-(?:0[1-9]|1[0-2])-[0-9]{2})(?:[T ]((?:[01][0-9]|2[0-3])(?::[0-5][0-9]){1,2})(\\.[0-9]{1,3})?[0-9]*)?$
{%- endmacro %}

{% macro oracle_time() -%}
^([0-9]{2})-([A-Z]{3})-([0-9]{2}|[0-9]{4})(?: ([01][0-9]|2[0-3])[.:]([0-5][0-9])[.:]([0-5][0-9])(?:[.,][0-9]+)? ?([AP]M)?)?$
{%- endmacro %}
