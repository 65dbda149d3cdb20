{#-
    What the messages are made by, as one hash: the models that they come from, the macros of
    these, the reference seeds, the variables, and where the rows are. After a change of any of
    it the next build works on all rows anew.
-#}
{% macro build_fingerprint() %}
    {%- if not execute -%}
        {{- return('') -}}
    {%- endif -%}
    {%- set parts = [retail_pro_source()] -%}
    {%- for name in fingerprinted_variables() -%}
        {%- do parts.append(name ~ '=' ~ var(name)) -%}
    {%- endfor -%}
    {%- for table in ('customer', 'document', 'document_item') -%}
        {#- The columns too: what tells unchanged rows apart is a hash of them. -#}
        {%- do parts.append(
            retail_pro_source_table(table).relation_name ~ retail_pro_columns(table) | join(',')
        ) -%}
    {%- endfor -%}
    {%- set ancestors = message_ancestors() -%}
    {%- for id in ancestors.nodes if graph.nodes[id].config.schema != 'sample' -%}
        {%- do parts.append(id ~ graph.nodes[id].checksum.checksum) -%}
    {%- endfor -%}
    {%- for id in ancestors.macros -%}
        {%- do parts.append(context[id.split('.')[-1]].macro.macro_sql) -%}
    {%- endfor -%}
    {{- return(local_md5(parts | sort | join('\n'))) -}}
{% endmacro %}

{#- The variables of dbt_project.yml that decide what a message says. -#}
{% macro fingerprinted_variables() %}
    {{- return([
        'customer_counters', 'date_formats', 'decimal_separator', 'default_timezone',
        'erase_emptied_traits', 'exclude_gift_cards', 'guest_orders',
        'send_documents_without_lines', 'shared_email_limit', 'thousands_separator',
    ]) -}}
{% endmacro %}

{#- Ids of the models and seeds that the event tables come from, and of this project's macros in them. -#}
{% macro message_ancestors() %}
    {%- set nodes, macros = [], [] -%}
    {%- set open = [
        'model.' ~ project_name ~ '.segment_identify_events', 'model.' ~ project_name ~ '.segment_track_events'
    ] -%}
    {#- The list grows while it is read. -#}
    {%- for id in open -%}
        {%- if id.startswith('macro.' ~ project_name ~ '.') and id not in macros -%}
            {%- do macros.append(id) -%}
            {%- do open.extend(context[id.split('.')[-1]].macro.depends_on.macros) -%}
        {%- elif id in graph.nodes and id not in nodes -%}
            {%- do nodes.append(id) -%}
            {%- do open.extend(graph.nodes[id].depends_on.nodes) -%}
            {%- do open.extend(graph.nodes[id].depends_on.macros) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return({'nodes': nodes, 'macros': macros}) -}}
{% endmacro %}
