{#- A name as it is compared: upper case, no outer blanks, no final dot. -#}
{% macro comparable_name(column) -%}
trim(trim(trailing '.' from upper(trim({{ column }}))))
{%- endmacro %}
