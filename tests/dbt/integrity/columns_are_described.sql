-- Columns that a model has without a description, and descriptions of columns that it has not.
-- depends_on: {{ ref('segment_failed_events') }}
-- depends_on: {{ ref('segment_delivery_summary') }}
-- depends_on: {{ ref('segment_row_accounting') }}
-- depends_on: {{ ref('segment_warnings') }}
{%- set described = [] -%}
{%- for node in graph.nodes.values() if execute and node.resource_type == 'model' -%}
    {%- for column in node.columns.values() if column.description -%}
        {%- do described.append("('" ~ node.alias ~ "', '" ~ column.name ~ "')") -%}
    {%- endfor -%}
{%- endfor %}
{%- set models = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model')
    | map(attribute='alias') | list if execute else [''] %}
with described as (

    select
        pair.1 as table_name,
        pair.2 as column_name
    from (select arrayJoin([{{ described | join(', ') or "('', '')" }}]) as pair)

),

built as (

    select
        table as table_name,
        name as column_name
    from system.columns
    where database = '{{ target.schema }}' and table in ('{{ models | join("', '") }}')

)

select
    built.table_name as built_table,
    built.column_name as built_column,
    described.table_name as described_table,
    described.column_name as described_column
from built
full outer join described
    on built.table_name = described.table_name and built.column_name = described.column_name
where built_column = '' or described_column = ''
