-- Loads, and rows of other pipelines, of which more or fewer rows are staged than had come when
-- the build began. Of other pipelines it may have staged rows that came meanwhile, so they are
-- between those that were there at its beginning and those that are there now.
with arrivals as (

    select * from {{ ref('stg_retail_pro__arrivals') }}

),

counted as (

    {% for table_name, models in retail_pro_models().items() -%}
        {% for model in [models.base, models.staged] -%}
            {{ 'union all' if not (loop.first and table_name == 'customer') }}
            select
                '{{ table_name }}' as table_name,
                _load_id as load_id,
                {{ loop.index0 }} as is_staged,
                count() as found_rows
            from {{ ref(model) }}
            where
                ({{ has_arrived(table_name) }})
                and (
                    _load_id != '' or _loaded_at <= (
                        select max(until) from arrivals
                        where table_name = '{{ table_name }}' and load_id = ''
                    )
                )
            group by load_id
        {% endfor %}
    {% endfor %}

),

compared as (

    select
        arrivals.table_name as table_name,
        arrivals.load_id as load_id,
        any(arrivals.arrived_rows) as arrived_rows,
        sumIf(found_rows, is_staged = 0) as rows_that_came,
        sumIf(found_rows, is_staged = 1) as staged_rows
    from arrivals
    left join counted
        on arrivals.table_name = counted.table_name and arrivals.load_id = counted.load_id
    where arrivals.is_new
    group by table_name, load_id

)

select * from compared
where
    staged_rows > rows_that_came
    or staged_rows < if(load_id = '', arrived_rows, rows_that_came)
union all
-- Rows of a load that is not committed.
select
    table_name,
    load_id,
    toUInt64(0) as arrived_rows,
    toUInt64(0) as rows_that_came,
    count() as staged_rows
from (
    {% for table_name, models in retail_pro_models().items() -%}
        {{ 'union all' if not loop.first }}
        select
            '{{ table_name }}' as table_name,
            _load_id as load_id
        from {{ ref(models.staged) }}
        where _staged_at > (select built_until from {{ ref('int_build_scope') }})
    {% endfor %}
)
where load_id != '' and load_id not in (select load_id from arrivals)
group by table_name, load_id
