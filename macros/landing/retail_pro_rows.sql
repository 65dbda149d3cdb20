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
    toUInt64({{ "ifNull(" ~ present['_LINE'].quoted ~ ", 0)" if '_LINE' in present else 0 }}) as _line,
    {{ as_time_of_arrival(present.get('_LOADED_AT')) }} as _loaded_at
from {{ relation }}
{%- if loads is not none and '_LOAD_ID' in present %}
where _load_id = '' or _load_id in (select load_id from {{ loads }})
{%- endif -%}
{%- else -%}
select * from {{ relation }}
{%- endif -%}
{% endmacro %}

{#-
    A column as text, empty for none; left alone where it is text, so that the primary key can be
    used. A time whose type has a zone, DateTime('Europe/Rome'), is an instant, and its text says
    so; one without is the wall clock that it shows. The cast takes LowCardinality away, which would
    spread to the keys.
-#}
{% macro as_text(column) -%}
{%- if not column -%}
''
{%- elif is_plain(column, 'String') -%}
{{ column.quoted }}
{%- elif modules.re.search("DateTime(64)?\\(([0-9], )?'", column.dtype) -%}
ifNull(concat(toString({{ column.quoted }}, 'UTC'), 'Z'), '')
{%- else -%}
ifNull(cast(toString({{ column.quoted }}) as Nullable(String)), '')
{%- endif -%}
{%- endmacro %}

{#- The column with the time of arrival; 1970 for none. -#}
{% macro as_time_of_arrival(column) -%}
{%- if column and is_plain(column, "DateTime64(3, 'UTC')") -%}
{{ column.quoted }}
{%- elif column -%}
ifNull(toDateTime64({{ column.quoted }}, 3, 'UTC'), toDateTime64(0, 3, 'UTC'))
{%- else -%}
toDateTime64(0, 3, 'UTC')
{%- endif -%}
{%- endmacro %}

{#- Whether a column has just this type; dbt names it without Nullable and LowCardinality. -#}
{% macro is_plain(column, type) -%}
{{- return(
    column.dtype == type and not column.is_nullable and not column.is_low_cardinality
) -}}
{%- endmacro %}
