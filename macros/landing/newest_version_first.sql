{#-
    Order in which the newest version of each key comes first. The key leads, because the staging
    models are sorted by theirs and need not be sorted as a whole then.
-#}
{% macro newest_version_first(key) -%}
{{ key }}, {{ exported_version() }} desc, _loaded_at desc, _line desc, content_hash
{%- endmacro %}

{#-
    What tells the versions of a re-sent row apart, the newest being the
    greatest: its last change, then its arrival in the exporting system, then its
    version counter. What the export does not say comes before what it says. Times are compared
    as instants; where nobody knows the zone, as if it were UTC.
-#}
{% macro exported_version() -%}
(
    {{ believed_time('coalesce(modified_at, modified_wall_time)') }},
    {{ believed_time('coalesce(posted_at, posted_wall_time)') }},
    ifNull(row_version, -1)
)
{%- endmacro %}

{#-
    A time of a row's version; 1970 for none. A row that claims to be of days after it was loaded
    would win over all that come after it, so it counts as of when it was loaded.
-#}
{% macro believed_time(instant) -%}
ifNull(
        if(
            {{ far_ahead(seconds_ahead(instant, '_loaded_at')) }},
            _loaded_at, {{ instant }}
        ), toDateTime64(0, 3, 'UTC')
    )
{%- endmacro %}

{#-
    Seconds by which a time lies after the moment at which its row was loaded; null where a
    source does not say when its rows came. Compared once: what is ahead stays so until the row
    is loaded again.
-#}
{% macro seconds_ahead(instant, loaded_at) -%}
if(
                {{ loaded_at }} > toDateTime64(0, 3, 'UTC'),
                dateDiff('second', {{ loaded_at }}, {{ instant }}), null
            )
{%- endmacro %}

{#- More than the clocks of tills and the zones of the earth explain. -#}
{% macro far_ahead(seconds) -%}
(ifNull({{ seconds }}, 0) > 48 * 3600)
{%- endmacro %}
