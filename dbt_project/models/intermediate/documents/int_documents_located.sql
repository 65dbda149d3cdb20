{#- The reference seeds are small, and sorting all documents by what they are joined on is not. -#}
{{ config(order_by='row_key', query_settings={'join_algorithm': 'hash'}) }}

-- Documents with the store, currency and instant that the reference seeds give them.
with documents as (

    select * from {{ ref('int_documents_current') }}

),

stores as (

    select
        sbs_no as store_subsidiary,
        store_code as known_store_code,
        toInt64OrNull(store_no) as known_store_number,
        nullIf(store_name, '') as known_store_name
    from {{ ref('stores') }}

),

subsidiaries as (

    select
        sbs_no as known_subsidiary,
        toInt8OrNull(use_vat) as subsidiary_uses_vat
    from {{ ref('subsidiaries') }}

),

-- What the shop says counts before what is true elsewhere.
shop_currencies as (

    select
        upper(trim(currency_name)) as shop_currency_name,
        upper(trim(currency_code)) as shop_currency_code
    from {{ ref('currency_names') }}

),

currencies as (

    select
        currency_name as known_currency_name,
        nullIf(currency_code, '') as currency,
        minor_units
    from {{ ref('currencies') }}
    where currency_name not in (select shop_currency_name from shop_currencies)
    union all
    select
        shop_currencies.shop_currency_name as known_currency_name,
        codes.currency_code as currency,
        any(codes.minor_units) as minor_units
    from shop_currencies
    inner join {{ ref('currencies') }} as codes
        on shop_currencies.shop_currency_code = codes.currency_code
    group by known_currency_name, currency

),

matched as (

    select
        documents.* except (modified_at),
        -- An exporter's clock that was ahead tells nothing about when an order was changed.
        if(
            ifNull({{ seconds_ahead('documents.modified_at', 'documents._loaded_at') }}, 0) > 0,
            null, documents.modified_at
        ) as modified_at,
        -- One store: what the one of this number lacks is not taken from another of this code.
        by_number.store_subsidiary != '' as is_known_by_number,
        if(is_known_by_number, by_number.known_store_name, by_code.known_store_name)
            as store_name,
        nullIf(
            if(is_known_by_number, by_number.known_store_code, by_code.known_store_code), ''
        ) as known_store_code,
        -- A zone that the text names counts before the store's, and an unknown one is not passed
        -- over.
        {{ known_zone(
            'ifNull(documents.business_zone, '
            ~ store_zone('documents.subsidiary', 'documents.store_no', 'documents.store_code') ~ ')'
        ) }} as business_place,
        -- The code is of a store that has another number.
        ifNull(
            by_code.known_store_number != documents.store_no
            or by_number.known_store_code != by_code.known_store_code
            and by_number.known_store_code != '' and by_code.known_store_code != '', 0
        ) as has_two_stores,
        currencies.currency as currency,
        currencies.minor_units as minor_units,
        subsidiaries.subsidiary_uses_vat as subsidiary_uses_vat
    from documents
    left join stores as by_number
        on documents.subsidiary = by_number.store_subsidiary
        and documents.store_no = by_number.known_store_number
    left join stores as by_code
        on documents.subsidiary = by_code.store_subsidiary
        and upper(documents.store_code) = upper(by_code.known_store_code)
    left join subsidiaries
        on documents.subsidiary = subsidiaries.known_subsidiary
    left join currencies
        on upper(documents.currency_name) = currencies.known_currency_name

),

timed as (

    select
        * except (business_place),
        {{ to_instant('business_wall_time', 'business_offset', 'business_place') }} as occurred_at,
        if(
            business_offset is null and business_place != '',
            {{ clock_change(
                'business_wall_time', "if(business_place = '', 'UTC', business_place)"
            ) }},
            ''
        ) as clock_change,
        {{ seconds_ahead(
            'occurred_at', "if(_loaded_at > toDateTime64(0, 3, 'UTC'), _loaded_at, _staged_at)"
        ) }} as seconds_ahead
    from matched

)

select * except (is_known_by_number) from timed
