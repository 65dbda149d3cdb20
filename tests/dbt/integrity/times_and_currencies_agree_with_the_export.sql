{#- A few may differ: a clock that skips an hour in spring has times that are no instant. -#}
{{ config(warn_if='>0', error_if='>20') }}
-- Of what the last build worked on: orders whose currency is not the code of the exported name, or
-- whose time, read back in a zone of the subsidiary's, is not the exported one. Times that are not
-- ISO 8601 are not compared.
with exported_documents as (

    {{ exported_rows_of_this_build('document', [
        'SID', 'SBS_NO', 'CURRENCY_NAME', 'INVC_POST_DATE', 'CREATED_DATETIME',
    ]) }}

),

built_orders as (

    select * from {{ ref('orders') }}
    where {{ of_changed_documents() }}

),

documents as (

    select
        SID as sid,
        min(toInt64({{ exported_number('SBS_NO') }})) as subsidiary,
        groupUniqArray(upper(CURRENCY_NAME)) as currency_names,
        groupUniqArrayArray(arrayFilter(
            time -> match(time, '^[0-9]{4}(-[0-9]{2}){2}[T ][0-9]{2}(:[0-9]{2}){2}'),
            [INVC_POST_DATE, CREATED_DATETIME]
        )) as times
    from exported_documents
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

),

zones as (

    select
        toInt64OrZero(trim(sbs_no)) as subsidiary,
        groupUniqArray(time_zone) as names
    from listed_zones
    where time_zone != ''
    group by subsidiary

),

currencies as (

    select
        currency_code,
        groupUniqArray(currency_name) as names
    from (
        select
            currency_name,
            currency_code
        from {{ ref('currencies') }}
        union all
        select
            upper(trim(currency_name)) as currency_name,
            upper(trim(currency_code)) as currency_code
        from {{ ref('currency_names') }}
    )
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
        arrayConcat(
            zones.names, {{ [var('default_timezone')] if var('default_timezone') else [] }}
        ) as store_zones,
        hasAny(currencies.names, documents.currency_names) as has_exported_currency,
        empty(exported_times) or arrayExists(
            time -> if(
                match(time, '([Zz]|[+-][0-9]{2}:?[0-9]{2})$'),
                parseDateTime64BestEffortOrNull(time, 3, 'UTC') = occurred_at,
                arrayExists(
                    zone -> left(toString(assumeNotNull(occurred_at), zone), 19)
                    = replaceOne(left(time, 19), 'T', ' '),
                    store_zones
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
