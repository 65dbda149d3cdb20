{#-
    Whether the rows are those of the sample: its seeds, or landing tables that LoadExport filled
    from seeds/sample. dbt_project.yml chooses the mappings by the same rule.
-#}
{% macro reads_the_sample() %}
    {{- return(
        retail_pro_source() == 'seeds'
        or env_var('RETAIL_PRO_EXPORT_DIR', '').rstrip('/').endswith('seeds/sample')
    ) -}}
{% endmacro %}

{#- Whose rows a build reads: `sample` or `shop`. -#}
{% macro origin() %}
    {{- return('sample' if reads_the_sample() else 'shop') -}}
{% endmacro %}

{#-
    At the start: the sample, its rows and its mappings, must never meet the rows of a shop. As
    luigi_tasks/landing/origin.py, which is asked first in a sync.
-#}
{% macro refuse_another_origin() %}
{%- if execute and flags.WHICH in ('build', 'run', 'seed', 'test', 'retry') -%}
    {%- if not reads_the_sample() and env_var('RETAIL_PRO_MAPPINGS', '').rstrip('/').endswith('seeds/sample') -%}
        {{ exceptions.raise_compiler_error(
            "RETAIL_PRO_MAPPINGS is seeds/sample, which has the mappings of the sample. Copy the files of seeds/shop"
            ~ " into a directory of your own, fill them in, and name that one."
        ) }}
    {%- endif -%}
    {%- if retail_pro_source() == 'landing' and (origins_of_landing() | reject('equalto', origin()) | list) -%}
        {{ exceptions.raise_compiler_error(another_origin(retail_pro_source_table('loads').schema ~ ' holds')) }}
    {%- endif -%}
    {%- if origin_of_database() not in ('', origin()) -%}
        {{ exceptions.raise_compiler_error(another_origin(target.schema ~ ' was built from')) }}
    {%- endif -%}
{%- endif -%}
{% endmacro %}

{#- What to do when the database that is meant is another's. -#}
{% macro another_origin(found) -%}
{%- if reads_the_sample() -%}
The database {{ found }} the export of a shop, and this command reads the sample. For the shop set RETAIL_PRO_SOURCE=landing. For the sample use another sandbox (make down, then SANDBOX_DIR=.sandbox-sample make up), or other databases (RETAIL_PRO_DATABASE, CLICKHOUSE_DATABASE).
{%- else -%}
The database {{ found }} the sample, and this command reads the export of a shop. For the sample set RETAIL_PRO_EXPORT_DIR=seeds/sample. For the shop remove the sample first (make clean), use another sandbox (make down, then SANDBOX_DIR=.sandbox-shop make up), or other databases (RETAIL_PRO_DATABASE, CLICKHOUSE_DATABASE).
{%- endif -%}
{%- endmacro %}

{#- Whose files were loaded into the landing tables. By way of the graph, because a hook cannot use source. -#}
{% macro origins_of_landing() %}
    {%- set loads = load_relation(api.Relation.create(
        schema=retail_pro_source_table('loads').schema, identifier='loads'
    )) -%}
    {{- return(run_query(
        "select distinct if(match(file, '(^|/)seeds/sample/[a-z_]+[.]csv$'), 'sample', 'shop') from " ~ loads
    ).rows | map('first') | list if loads else []) -}}
{% endmacro %}

{#- Whose rows the last build read that noted it; empty when none did. -#}
{% macro origin_of_database() %}
    {%- set noted = run_query(
        'select origin from ' ~ target.schema ~ ".segment_build_progress where origin != ''"
        ~ ' order by finished_at desc limit 1'
    ).rows | map('first') | list -%}
    {{- return(noted[0] if noted else '') -}}
{% endmacro %}
