{#-
    Says once at the end of a build which columns the export does not have: the
    well-known ones, which a sync would refuse before, and what missing optional
    ones cost, as the data dictionary has it (meta.without).
-#}
{% macro state_fallbacks() %}
{%- if execute and flags.WHICH in ('build', 'run') -%}
    {%- set lines = [] -%}
    {%- for table in ('customer', 'document', 'document_item') -%}
        {%- set present = exported_columns(table) -%}
        {%- for column in retail_pro_source_table(table).columns.values() -%}
            {%- set cost = column.get('config', {}).get('meta', {}).get('without') or column.get('meta', {}).get('without') -%}
            {%- if present and column.name not in present and not column.name.startswith('_') -%}
                {%- if cost -%}
                    {%- do lines.append('  ' ~ table ~ '.' ~ column.name ~ ' is missing: ' ~ cost) -%}
                {%- elif not column.description.startswith('Optional.') -%}
                    {%- do lines.append('  ' ~ table ~ '.' ~ column.name ~ ' is missing: it is empty in all rows.') -%}
                {%- endif -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if lines -%}
        {{ log('Fallbacks in force, for columns that the export does not have:\n' ~ lines | join('\n'), info=true) }}
    {%- endif -%}
{%- endif -%}
{% endmacro %}

{#-
    The columns that the export of a table has, in upper case: those of the
    file loaded last, or of the table where no file was loaded. By way of the
    graph, because a hook cannot use ref.
-#}
{% macro exported_columns(table_name) %}
    {%- set from_seeds = retail_pro_source() == 'seeds' -%}
    {%- set node = graph.nodes['seed.retail_pro_segment.' ~ table_name] if from_seeds
        else retail_pro_source_table(table_name) -%}
    {%- set relation = load_relation(api.Relation.create(
        schema=node.schema, identifier=node.alias if from_seeds else node.identifier
    )) -%}
    {%- set loads = none if from_seeds
        else load_relation(api.Relation.create(schema=node.schema, identifier='loads')) -%}
    {%- set names = [] -%}
    {%- if loads -%}
        {%- set header = run_query(
            'select arrayJoin(columns) from (select columns from ' ~ loads ~ " where table_name = '"
            ~ table_name ~ "' order by loaded_at desc limit 1)"
        ) -%}
        {%- for row in header.rows -%}{%- do names.append(row[0] | upper) -%}{%- endfor -%}
    {%- endif -%}
    {%- if relation and not names -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do names.append(column.name | upper) -%}
        {%- endfor -%}
    {%- endif -%}
    {{- return(names) -}}
{% endmacro %}
