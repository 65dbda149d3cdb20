{#-
    Order in which the newest version of a re-sent row comes first: by its last
    change, then its arrival in the exporting system, then its version counter,
    then the order in which it was loaded here. Null comes last.
-#}
{% macro newest_version_first() -%}
modified_wall_time - toIntervalSecond(ifNull(modified_offset, 0)) desc nulls last,
    posted_wall_time desc nulls last,
    row_version desc nulls last,
    _loaded_at desc,
    _line desc
{%- endmacro %}
