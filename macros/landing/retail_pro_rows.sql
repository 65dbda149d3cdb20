{#-
    All exported rows of one Retail Pro table with every column of the data
    dictionary as text, never null. Columns that the relation does not have are
    empty, names are matched without regard to case, so that an export without
    optional columns and a table filled by another pipeline both fit. Rows of a
    load that was not committed are left out.
-#}
{% macro retail_pro_rows(table_name) %}
{%- set relation = retail_pro_relation(table_name) -%}
{%- set loads = source('retail_pro', 'loads') if retail_pro_source() == 'landing' else none -%}
{%- if execute -%}
    {%- set present = {} -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do present.update({column.name | upper: column}) -%}
    {%- endfor -%}
    {#- Where models are only compiled, for the docs, a missing table has no rows to read. -#}
    {%- if not present and flags.WHICH in ('build', 'run', 'test') -%}
        {{ exceptions.raise_compiler_error(
            relation ~ " does not exist. Load an export first (luigi --module luigi_tasks"
            ~ " LoadExport --directory DIR), name your own table with the variable"
            ~ " retail_pro_" ~ table_name ~ "_table, or run dbt seed for the sample."
        ) }}
    {%- endif -%}
select
    {%- for column in retail_pro_columns(table_name) %}
    {{ as_text(present.get(column | upper)) }} as {{ column }},
    {%- endfor %}
    {{ as_text(present.get('_LOAD_ID')) }} as _load_id,
    {{ as_text(present.get('_FILE')) }} as _file,
    toUInt64({{ present['_LINE'].quoted if '_LINE' in present else 0 }}) as _line,
    {{ as_time_of_arrival(present.get('_LOADED_AT')) }} as _loaded_at
from {{ relation }}
{%- if loads is not none and '_LOAD_ID' in present %}
where _load_id = '' or _load_id in (select load_id from {{ loads }})
{%- endif -%}
{%- else -%}
select * from {{ relation }}
{%- endif -%}
{% endmacro %}

{#- A column as text, empty for none; left alone where it is text, so that the primary key can be used. -#}
{% macro as_text(column) -%}
{%- if not column -%}
''
{%- elif column.dtype == 'String' -%}
{{ column.quoted }}
{%- else -%}
ifNull(toString({{ column.quoted }}), '')
{%- endif -%}
{%- endmacro %}

{#- The column with the time of arrival; 1970 for none. -#}
{% macro as_time_of_arrival(column) -%}
{%- if column and column.dtype == "DateTime64(3, 'UTC')" -%}
{{ column.quoted }}
{%- else -%}
toDateTime64({{ column.quoted if column else 0 }}, 3, 'UTC')
{%- endif -%}
{%- endmacro %}
