{#-
    The wall-clock time in a text, as DateTime64(3, 'UTC') that holds the wall
    clock and not yet an instant; null when the text is in neither of the two
    forms that exports have (ISO 8601, Oracle's default), or not between 1990
    and 2099: such dates are fillers.
-#}
{% macro clean_wall_time(column) -%}
if(
    toYear({{ parsed_wall_time(column) }}) between 1990 and 2099,
    {{ parsed_wall_time(column) }}, null
)
{%- endmacro %}

{#-
    The text without its offset, in a form that ClickHouse reads without
    guessing. It would take a two-digit year for an hour, so the century is
    written out as Oracle's RR does: 50 to 99 are 19xx. It would also carry hour
    25 over into the next day, hence the bounds in the patterns below.
-#}
{% macro parsed_wall_time(column) -%}
parseDateTime64BestEffortOrNull(
    multiIf(
        match({{ trimmed(column) }}, '{{ iso_time() }}'),
        replaceRegexpOne({{ trimmed(column) }}, '{{ iso_time() }}', '\\1 \\2\\3'),
        match(upper({{ trimmed(column) }}), '{{ oracle_time() }}'),
        replaceRegexpOne(
            replaceRegexpOne(
                replaceRegexpOne(
                    upper({{ trimmed(column) }}), '{{ oracle_time() }}', '\\1 \\2 \\3 \\4:\\5:\\6 \\7'
                ), '^(.{7})([0-4][0-9]) ', '\\120\\2 '
            ), '^(.{7})([5-9][0-9]) ', '\\119\\2 '
        ),
        ''
    ), 3, 'UTC'
)
{%- endmacro %}

{#- Seconds ahead of UTC that a time's own text states; null when it states none. -#}
{% macro clean_offset(column) -%}
multiIf(
    not match({{ trimmed(column) }}, '[0-9][.0-9]*( ?[AaPp][Mm])? ?([Zz]|[+-][0-9]{2}:?[0-9]{2})$'), null,
    upper(right({{ trimmed(column) }}, 1)) = 'Z', 0,
    match({{ trimmed(column) }}, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'), null,
    if(position(extract({{ trimmed(column) }}, '([+-][0-9]{2}:?[0-9]{2})$'), '-') = 1, -1, 1) * (
        3600 * toInt32OrZero(extract({{ trimmed(column) }}, '[+-]([0-9]{2}):?[0-9]{2}$'))
        + 60 * toInt32OrZero(extract({{ trimmed(column) }}, '[+-][0-9]{2}:?([0-9]{2})$'))
    )
)
{%- endmacro %}

{% macro iso_time() -%}
^([0-9]{4}-(?:0[1-9]|1[0-2])-[0-9]{2})(?:[T ]((?:[01][0-9]|2[0-3])(?::[0-5][0-9]){2})(\\.[0-9]{1,3})?[0-9]*)? ?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?$
{%- endmacro %}

{% macro oracle_time() -%}
^([0-9]{2})-([A-Z]{3})-([0-9]{2}|[0-9]{4}) ([01][0-9]|2[0-3])[.:]([0-5][0-9])[.:]([0-5][0-9])(?:\\.[0-9]+)? ?([AP]M)?(?: ?[+-][0-9]{2}:?[0-9]{2})?$
{%- endmacro %}
