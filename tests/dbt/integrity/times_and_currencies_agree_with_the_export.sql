-- Of what the last build worked on: orders whose currency is not the code of the exported name, or
-- whose time, read back in a zone of the subsidiary's, is not the exported one. Only times in
-- ISO 8601 with an offset or with nothing behind them are compared. A time that the clock skips
-- is read back as much later as it skips.
with exported_documents as (

    {{ exported_rows_of_this_build('document', [
        'SID', 'SBS_NO', 'CURRENCY_NAME', 'INVC_POST_DATE', 'CREATED_DATETIME',
    ]) }}

),

built_orders as (

    select * from {{ ref('orders') }}
    where {{ of_changed_documents() }}

),

stated as (

    select
        SID as sid,
        toInt64({{ exported_number('SBS_NO') }}) as subsidiary,
        replaceAll(upper(CURRENCY_NAME), ' ', '') as currency_name,
        arrayFilter(
            time -> time != '',
            [INVC_POST_DATE, CREATED_DATETIME]
        ) as texts,
        -- What the clock shows, and what it says of its zone.
        arrayMap(
            time -> (
                parseDateTimeOrNull(
                    replaceOne(left(upper(time), 19), 'T', ' '), '%Y-%m-%d %H:%i:%S', 'UTC'
                ),
                upper(trim(replaceRegexpOne(substring(time, 20), '^[.][0-9]+', '')))
            ), texts
        ) as times,
        arrayAll(
            time -> match(
                time,
                '^[0-9]{4}(-[0-9]{2}){2}[Tt ][0-9]{2}(:[0-9]{2}){2}([.][0-9]+)?'
                || ' ?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?$'
            ), texts
        ) as is_comparable
    from exported_documents

),

documents as (

    select
        sid,
        min(subsidiary) as subsidiary,
        groupUniqArray(currency_name) as currency_names,
        if(min(is_comparable), groupUniqArrayArray(times), []) as times
    from stated
    group by sid

),

listed_zones as (

    select
        sbs_no,
        time_zone
    from {{ ref('stores') }}
    union all
    select
        sbs_no,
        time_zone
    from {{ ref('subsidiaries') }}
    union all
    select
        SBS_NO as sbs_no,
        '{{ var("default_timezone") }}' as time_zone
    from exported_documents

),

known_zones as (

    {{ known_zones() }}

),

zones as (

    select
        toInt64({{ exported_number('sbs_no') }}) as subsidiary,
        groupUniqArray(known_zones.known_zone) as names
    from listed_zones
    inner join known_zones on upper(listed_zones.time_zone) = known_zones.upper_zone
    group by subsidiary

),

currency_names as (

    select
        currency_name,
        currency_code
    from {{ ref('currencies') }}
    union all
    select
        upper(trim(currency_name)) as currency_name,
        upper(trim(currency_code)) as currency_code
    from {{ ref('currency_names') }}

),

currencies as (

    select
        currency_code,
        groupUniqArray(replaceAll(upper(currency_name), ' ', '')) as names
    from currency_names
    group by currency_code

),

compared as (

    select
        orders.source_sid as source_sid,
        orders.kind as kind,
        orders.currency as currency,
        orders.occurred_at as occurred_at,
        documents.currency_names as exported_names,
        documents.times as exported_times,
        zones.names as store_zones,
        hasAny(currencies.names, documents.currency_names) as has_exported_currency,
        toDateTime(assumeNotNull(occurred_at), 'UTC') as occurred_in_utc,
        empty(exported_times) or arrayExists(
            time -> if(
                time.2 != '',
                {{ exported_instant('time') }} = occurred_in_utc,
                arrayExists(
                    zone -> {{ reads_as('occurred_in_utc', 'zone', 'time.1') }}, store_zones
                )
            ),
            exported_times
        ) as has_exported_time
    from built_orders as orders
    {{ 'left' if works_on_everything() else 'inner' }} join documents
        on orders.source_sid = documents.sid
    left join zones on documents.subsidiary = zones.subsidiary
    left join currencies on orders.currency = currencies.currency_code
    where orders.failure_code is null

)

select *
from compared
where not has_exported_currency or not has_exported_time
-- Of a large history too much to be held in memory.
settings join_algorithm = 'full_sorting_merge,hash'
