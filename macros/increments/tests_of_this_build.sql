{#-
    Data tests look at what the last build worked on; the rest was looked at when it was built. In
    the `where` of a test, this_build_documents stands for the rows of those documents, and
    this_build_customers for those of those customers.
-#}
{% macro clickhouse__get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if not where -%}
        {{- return(relation) -}}
    {%- endif -%}
    {#- By their names, since a generic test cannot use ref. -#}
    {%- set documents = changed_only(
        '(buyer_sid, row_key)', relation.schema ~ '.int_documents_changed', 'buyer_sid, row_key'
    ) -%}
    {%- set customers = changed_only('row_key', relation.schema ~ '.int_customers_touched') -%}
    {%- set where = where | replace('this_build_documents', documents) | replace('this_build_customers', customers) -%}
    {{- return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as tested_rows') -}}
{%- endmacro %}

{#-
    The rows of the document or document_item table, as the export has them, that belong to what
    the last build worked on. Found by the primary key of the landing table; of all rows by their
    load, since those of other pipelines may have come after they were staged. columns: those that
    the test reads; tidied, for a filler such as NULL is no value.
-#}
{% macro exported_rows_of_this_build(table_name, columns) -%}
{%- set models = retail_pro_models()[table_name] -%}
{%- set base, staged = ref(models.base), ref(models.staged) -%}
{%- set document_key = {'document': 'row_key', 'document_item': "ifNull(document_sid, '')"}[table_name] -%}
{%- set changed = ref('int_documents_changed') -%}
select
        {{- tidied(columns) }}
        _loaded_at
    from (
        select * from {{ base }}
        where
        {%- if works_on_everything() %}
            _load_id in (
                select load_id from {{ ref('stg_retail_pro__arrivals') }} where load_id != ''
            )
            or (
                _load_id = ''
                -- The SID is in the hash, as the export has it: a CHAR column fills it with blanks.
                and cityHash64(_loaded_at, {{ content_hash() }}) in (
                    select cityHash64(_loaded_at, content_hash)
                    from {{ staged }}
                    where _load_id = ''
                )
            )
        {%- else %}
            (_loaded_at, SID) in (
                select
                    _loaded_at,
                    source_sid
                from {{ staged }}
                where {{ document_key }} in (select row_key from {{ changed }})
            )
        {%- endif %}
    )
{%- endmacro %}
