{#- Order in which the newest version of a re-sent row comes first. -#}
{% macro newest_version_first() -%}
{{ exported_version() }} desc, _loaded_at desc, _line desc
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
