{#- The day of a document as its text has it, in whatever form; to group by. -#}
{% macro exported_day() -%}
left(trim(if(trim(INVC_POST_DATE) in ('', 'N/A'), CREATED_DATETIME, INVC_POST_DATE)), 10)
{%- endmacro %}
