{#-
    The documents of rows of a staging model that have come since the last build that came to its
    end, and say of an order what no row of the same key and document said before. document: the
    column or expression with the document.
-#}
{% macro documents_with_new_content(staged, document) -%}
{%- set has_come -%}
{{ '_loaded_at' if execute and works_on_everything() else '_staged_at' }} > {{ built_until() }}
{%- endset -%}
select {{ document }} as document_sid
    from {{ staged }}
    where
        {{ has_come }}
        and (row_key, {{ document }}, order_content) not in (
            select
                row_key,
                {{ document }},
                order_content
            from {{ staged }}
            where
                not ({{ has_come }})
                and row_key in (select row_key from {{ staged }} where {{ has_come }})
        )
{%- endmacro %}
