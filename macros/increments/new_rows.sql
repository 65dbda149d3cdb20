{#-
    The rows of a base model that are not in the staging model being built yet. Rows count as
    staged once a build that staged them came to its end; those of a build that broke off are
    compared one by one, since an insert may have gone in by half. Of the loader's rows whole
    loads are new, by their id. Rows of another pipeline are new by their time of arrival, and
    compared one by one for the hour in which an insert may have been under way.
    table_name: as in `loads`.
-#}
{% macro new_rows(base, table_name) -%}
{%- set loads = source('retail_pro', 'loads') -%}
{%- if not is_incremental() -%}
select * from {{ base }}
{%- else -%}
{%- set unstaged_loads -%}
(
                    select
                        load_id,
                        loaded_at
                    from {{ loads }}
                    where
                        table_name = '{{ table_name }}'
                        and load_id not in (
                            select _load_id from {{ this }}
                            group by _load_id, _staged_at
                            having _staged_at <= {{ built_until() }}
                        )
                )
{%- endset -%}
{%- set surely_staged_until -%}
(
                select coalesce(maxOrNullIf(last_loaded_at, _load_id = ''), max(last_loaded_at))
                    - interval 1 hour
                from (
                    select
                        _load_id,
                        _staged_at,
                        max(_loaded_at) as last_loaded_at
                    from {{ this }}
                    group by _load_id, _staged_at
                )
                where _staged_at <= {{ built_until() }}
            )
{%- endset -%}
select *
    from {{ base }}
    where
        (
            (
                _load_id in (select load_id from {{ unstaged_loads }})
                -- The rows of a load bear the time at which it began.
                and _loaded_at > (
                    select coalesce(minOrNull(loaded_at), now64(3, 'UTC')) - interval 1 day
                    from {{ unstaged_loads }}
                )
            )
            or (_load_id = '' and _loaded_at > {{ surely_staged_until }})
        )
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
                or (_load_id = '' and _loaded_at > {{ surely_staged_until }})
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
