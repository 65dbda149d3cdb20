{%- set columns_of_documents = [
    'BT_CUID', 'INVC_POST_DATE', 'CREATED_DATETIME', 'SBS_NO', 'STORE_NO', 'STORE_CODE',
    'CURRENCY_NAME', 'STATUS', 'RECEIPT_TYPE', 'HAS_SALE', 'HAS_RETURN', 'IS_HELD', 'USE_VAT',
    'SOLD_QTY', 'RETURN_QTY', 'SALE_TOTAL_AMT', 'SALE_SUBTOTAL', 'SALE_TOTAL_TAX_AMT',
    'TOTAL_DISCOUNT_AMT', 'SHIPPING_AMT', 'RETURN_SUBTOTAL', 'RETURN_SUBTOTAL_WITH_TAX',
    'RETURN_TOTAL_TAX_AMT', 'TRANSACTION_TOTAL_AMT', 'TOTAL_FEE_AMT', 'DOC_NO',
] -%}
{%- set columns_of_lines = ['QTY', 'PRICE', 'DIP_PRICE', 'TAX_AMT', 'ITEM_TYPE', 'KIT_FLAG'] -%}
-- What the columns hold that keep orders from going out, for segment_failed_events. The values are
-- read where they came in, because what cannot be read is nowhere else. The orders are asked for at
-- a dozen places, so they come from a table: a view as large as `orders` is analysed at each.
with failed as (

    select distinct
        source_sid as entity_id,
        failure_code as error_code,
        _file,
        _line,
        _loaded_at
    from {{ ref('int_order_states') }}
    where
        {{ is_held() }}
        and error_code in (
            'sid_malformed', 'timestamp_unreadable', 'timezone_unknown', 'time_in_future',
            'flag_unreadable', 'number_unreadable', 'currency_unmapped', 'receipt_number_unreadable'
        )

),

documents as (

    select
        failed.entity_id as entity_id,
        failed.error_code as error_code,
        failed._file as _file,
        failed._line as _line,
        failed._loaded_at as _loaded_at,
        if(documents.has_invoice_time, 'INVC_POST_DATE', 'CREATED_DATETIME') as time_column,
        multiIf(
            failed.error_code = 'sid_malformed', ['BT_CUID'],
            failed.error_code = 'receipt_number_unreadable', ['DOC_NO'],
            failed.error_code in ('timestamp_unreadable', 'time_in_future'), [time_column],
            failed.error_code = 'timezone_unknown',
            ['SBS_NO', 'STORE_NO', 'STORE_CODE', time_column],
            failed.error_code = 'flag_unreadable', documents.unreadable_flags,
            failed.error_code = 'number_unreadable', documents.unreadable_numbers,
            ['CURRENCY_NAME']
        ) as names
    from {{ ref('stg_retail_pro__documents') }} as documents
    inner join failed
        on documents.row_key = failed.entity_id
        and documents._loaded_at = failed._loaded_at
        and documents._file = failed._file
        and documents._line = failed._line
    where documents.row_key in (select listed.entity_id from failed as listed)

),

line_versions as (

    select *
    from {{ ref('stg_retail_pro__document_items') }}
    where
        ifNull(document_sid, '') in (
            select entity_id from failed
            where error_code in ('flag_unreadable', 'number_unreadable')
        )
    order by row_key asc, _loaded_at desc, _line desc
    limit 1 by row_key

),

lines as (

    select
        failed.entity_id as entity_id,
        failed.error_code as error_code,
        versions.source_sid as line_sid,
        versions._file as _file,
        versions._line as _line,
        versions._loaded_at as _loaded_at,
        if(
            failed.error_code = 'flag_unreadable',
            versions.unreadable_flags,
            arrayDistinct(arrayConcat(versions.unreadable_numbers, arrayFilter(name -> name != '', [
                if(versions.quantity is null, 'QTY', ''), if(versions.price is null, 'PRICE', '')
            ])))
        ) as names
    from line_versions as versions
    inner join failed on versions.document_sid = failed.entity_id
    where notEmpty(names)

),

said as (

    select
        documents.entity_id as entity_id,
        documents.error_code as error_code,
        '' as line_sid,
        {{ columns_as_exported(columns_of_documents, 'exported', 'documents.names') }} as text
    from {{ ref('base_retail_pro__documents') }} as exported
    inner join documents
        on exported.SID = documents.entity_id
        and exported._loaded_at = documents._loaded_at
        and exported._file = documents._file
        and exported._line = documents._line
    where
        exported._loaded_at in (select wanted._loaded_at from documents as wanted)
        and exported.SID in (select wanted.entity_id from documents as wanted)
    union all
    select
        lines.entity_id as entity_id,
        lines.error_code as error_code,
        lines.line_sid as line_sid,
        concat(
            'line ', lines.line_sid, ': ',
            {{ columns_as_exported(columns_of_lines, 'exported', 'lines.names') }}
        ) as text
    from {{ ref('base_retail_pro__document_items') }} as exported
    inner join lines
        on exported.SID = lines.line_sid
        and exported._loaded_at = lines._loaded_at
        and exported._file = lines._file
        and exported._line = lines._line
    where
        exported._loaded_at in (select wanted._loaded_at from lines as wanted)
        and exported.SID in (select wanted.line_sid from lines as wanted)

)

select
    entity_id,
    error_code,
    concat(
        arrayStringConcat(
            arraySlice(arrayMap(line -> line.2, arraySort(groupUniqArray((line_sid, text)))), 1, 4),
            '; '
        ),
        '.'
    ) as detail
from said
where text != ''
group by entity_id, error_code
-- As a setting, because unit tests put a query in the table's place.
settings final = 1
