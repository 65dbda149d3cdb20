-- Documents with the store, currency and instant that the reference seeds give them.
with documents as (

    select * from {{ ref('stg_retail_pro__documents') }}

),

stores as (

    select
        sbs_no as store_subsidiary,
        upper(store_code) as known_store_code,
        toInt64OrNull(store_no) as known_store_number,
        nullIf(store_name, '') as known_store_name,
        nullIf(time_zone, '') as store_zone
    from {{ ref('stores') }}

),

subsidiaries as (

    select
        sbs_no as known_subsidiary,
        nullIf(time_zone, '') as subsidiary_zone,
        toInt8OrNull(use_vat) as subsidiary_uses_vat
    from {{ ref('subsidiaries') }}

),

currencies as (

    select
        currency_name as known_currency_name,
        nullIf(currency_code, '') as currency,
        minor_units
    from {{ ref('currencies') }}

),

matched as (

    select
        documents.*,
        coalesce(by_number.known_store_name, by_code.known_store_name) as store_name,
        coalesce(
            by_number.store_zone,
            by_code.store_zone,
            subsidiaries.subsidiary_zone,
            nullIf('{{ var("default_timezone") }}', '')
        ) as stated_zone,
        stated_zone in (select time_zone from system.time_zones) as has_zone,
        if(has_zone, assumeNotNull(stated_zone), 'UTC') as zone,
        currencies.currency as currency,
        currencies.minor_units as minor_units,
        subsidiaries.subsidiary_uses_vat as subsidiary_uses_vat
    from documents
    left join stores as by_number
        on documents.subsidiary = by_number.store_subsidiary
        and documents.store_no = by_number.known_store_number
    left join stores as by_code
        on documents.subsidiary = by_code.store_subsidiary
        and upper(documents.store_code) = by_code.known_store_code
    left join subsidiaries
        on documents.subsidiary = subsidiaries.known_subsidiary
    left join currencies
        on upper(documents.currency_name) = currencies.known_currency_name

),

timed as (

    select
        *,
        {{ to_instant('business_wall_time', 'business_offset', 'zone', 'has_zone') }} as occurred_at
    from matched

)

select * from timed
