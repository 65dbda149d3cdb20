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
        {%- do present.update({column.name | upper: adapter.quote(column.name)}) -%}
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
    {{ ('ifNull(toString(' ~ present[column | upper] ~ "), '')") if column | upper in present else "''" }} as {{ column }},
    {%- endfor %}
    {{ present.get('_FILE', "''") }} as _file,
    toUInt64({{ present.get('_LINE', 0) }}) as _line,
    toDateTime64({{ present.get('_LOADED_AT', 0) }}, 3, 'UTC') as _loaded_at
from {{ relation }}
{%- if loads is not none and '_LOAD_ID' in present %}
where _load_id = '' or _load_id in (select load_id from {{ loads }})
{%- endif -%}
{%- else -%}
select * from {{ relation }}
{%- endif -%}
{% endmacro %}
