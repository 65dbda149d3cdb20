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
    version counter. What the export does not say comes before what it says.
-#}
{% macro exported_version() -%}
(
    ifNull(
        modified_wall_time - toIntervalSecond(ifNull(modified_offset, 0)),
        toDateTime64(0, 3, 'UTC')
    ),
    ifNull(posted_wall_time, toDateTime64(0, 3, 'UTC')),
    ifNull(row_version, -1)
)
{%- endmacro %}
