{#- The day of a document as its text has it, in whatever form; to group by. From tidied columns. -#}
{% macro exported_day() -%}
left(if(INVC_POST_DATE = '', CREATED_DATETIME, INVC_POST_DATE), 10)
{%- endmacro %}
