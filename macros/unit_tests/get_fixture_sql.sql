{#-
    Rows that a unit test gives in place of a table, in the place of dbt's own macro of this name:
    the columns that no row names stand there once, and the others in one table function, instead
    of a SELECT with all columns per row. A model that names a table several times has it analysed
    as often, so that unit tests take ClickHouse half as long.
-#}
{% macro get_fixture_sql(rows, column_name_to_data_types) %}
{%- set types, names = dict(column_name_to_data_types or {}), {} -%}
{%- if not types -%}
    {%- set other = defer_relation if (defer_relation and not load_relation(this)) else this -%}
    {%- for column in adapter.get_columns_in_relation(other) -%}
        {%- do types.update({column.name | lower: column.data_type}) -%}
        {%- do names.update({column.name | lower: column.name}) -%}
    {%- endfor -%}
{%- endif -%}
{%- if not types -%}
    {{ exceptions.raise_compiler_error(
        "A unit test needs the columns of " ~ this ~ ", which does not exist yet. Build the model first."
    ) }}
{%- endif -%}
{%- set cells, given, selected, structure, tuples = [], {}, [], [], [] -%}
{%- for row in rows -%}
    {%- do cells.append(format_row(row, types)) -%}
    {%- do given.update(cells[-1]) -%}
{%- endfor -%}
{%- for name, type in types.items() -%}
    {%- set column = '`' ~ names.get(name, name) ~ '`' -%}
    {%- set default = 'cast(null as ' ~ type ~ ')' if type.startswith('Nullable(') else safe_cast('null', type) | trim -%}
    {%- if name in given -%}
        {%- do given.update({name: default}) -%}
        {%- do structure.append(column ~ ' ' ~ type) -%}
    {%- endif -%}
    {%- do selected.append(column if name in given else default ~ ' as ' ~ column) -%}
{%- endfor -%}
{%- for row in cells -%}
    {%- set values = [] -%}
    {%- for name in types if name in given -%}
        {%- do values.append(row.get(name, given[name])) -%}
    {%- endfor -%}
    {%- do tuples.append('(' ~ values | join(', ') ~ ')') -%}
{%- endfor -%}
select {{ selected | join(', ') }}
{%- if given %} from values({{ sql_text(structure | join(', ')) }}, {{ tuples | join(', ') }})
{%- elif not rows %} limit 0
{%- endif %}
{%- endmacro %}
