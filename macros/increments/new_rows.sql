{#-
    The rows of a base model that are not in the staging model being built yet, of those that had
    come when the build began (stg_retail_pro__arrivals). Rows count as staged once a build that
    staged them came to its end; those of a build that broke off are compared one by one, since an
    insert may have gone in by half. Of the loader's rows whole loads are new, by their id. Rows of
    another pipeline are new by their time of arrival, and compared one by one for the hour in
    which an insert may have been under way; those that come while the build goes on may be taken.
    table_name: as in `loads`.
-#}
{% macro new_rows(base, table_name) -%}
{%- if not is_incremental() -%}
select * from {{ base }}
    where
        _load_id = ''
        or _load_id in (select load_id from {{ ref('stg_retail_pro__arrivals') }})
{%- else -%}
select *
    from {{ base }}
    where
        ({{ has_arrived(table_name) }})
        and (_load_id, _loaded_at, _file, _line, {{ content_hash() }}) not in (
            select
                _load_id,
                _loaded_at,
                _file,
                _line,
                content_hash
            from {{ this }}
            where
                _staged_at > {{ built_until() }}
                or (
                    _load_id = '' and _loaded_at >= (
                        select min(since) from {{ ref('stg_retail_pro__arrivals') }}
                        where table_name = '{{ table_name }}' and load_id = ''
                    )
                )
        )
{%- endif -%}
{%- endmacro %}

{#- Rows staged by then are worked into the messages. -#}
{% macro built_until() -%}
(
                select min(got_until)
                from (
                    select max(staged_until) as got_until
                    from {{ source('segment_delivery', 'segment_build_progress') }}
                    group by call
                )
            )
{%- endmacro %}

{#-
    The time at which rows are staged: later than all that a build which came to its end has
    seen, also when the clock was set back.
-#}
{% macro staged_at() -%}
greatest(
            now64(6, 'UTC'),
            (
                select max(staged_until) + toIntervalMicrosecond(1)
                from {{ source('segment_delivery', 'segment_build_progress') }}
            )
        )
{%- endmacro %}
