{#-
    The newest version of each key among rows that can be in several. Most came once and are passed
    on as they are: to sort them all, or to remember all keys, would take the memory of a history.
    versions: a CTE of staged rows; key: the columns that tell rows apart, row_key among them.
-#}
{% macro newest_versions(versions, key='row_key') -%}
{%- set in_several -%}
(
        select cityHash64(row_key) as row_hash
        from {{ versions }}
        group by row_hash
        having count() > 1
    )
{%- endset -%}
select * from {{ versions }}
where cityHash64(row_key) not in {{ in_several }}
union all
select * from (
    select * from {{ versions }}
    where cityHash64(row_key) in {{ in_several }}
    order by {{ newest_version_first('row_key') }}
    limit 1 by {{ key }}
)
{%- endmacro %}
