{{ config(**staged_table('row_key', ['customer_sid'])) }}

with source as (

    {{ new_rows(ref('base_retail_pro__documents'), 'document') }}

),

tidied as (

    select
        {{- tidied([
            'SID', 'DOC_NO', 'BT_CUID', 'BT_EMAIL', 'HAS_SALE', 'HAS_RETURN', 'SOLD_QTY',
            'RETURN_QTY', 'SALE_TOTAL_AMT', 'SALE_SUBTOTAL', 'SALE_TOTAL_TAX_AMT',
            'TOTAL_DISCOUNT_AMT', 'SHIPPING_AMT', 'CURRENCY_NAME', 'TENDER_NAME', 'STORE_CODE',
            'STORE_NO', 'SBS_NO', 'SHIP_METHOD', 'POST_DATE', 'CREATED_DATETIME', 'STATUS',
            'IS_HELD', 'RECEIPT_TYPE', 'INVC_POST_DATE', 'RETURN_SUBTOTAL',
            'RETURN_SUBTOTAL_WITH_TAX', 'RETURN_TOTAL_TAX_AMT', 'TRANSACTION_TOTAL_AMT',
            'USE_VAT', 'REF_SALE_SID', 'ORDER_TYPE', 'TOTAL_FEE_AMT', 'MODIFIED_DATETIME',
            'ROW_VERSION',
        ]) }}
        {{ content_hash() }} as content_hash,
        {{ order_content('document') }} as order_content,
        _load_id,
        _file,
        _line,
        _loaded_at
    from source

),

typed as (

    select
        -- ids
        SID as source_sid,
        {{ clean_sid('SID') }} as document_sid,
        {{ row_key('document_sid') }} as row_key,
        {{ clean_reference('BT_CUID') }} as customer_sid,
        {{ clean_reference('REF_SALE_SID') }} as referenced_sale_sid,
        {{ clean_text('DOC_NO') }} as receipt_number,

        -- text
        {{ clean_email('BT_EMAIL') }} as email,
        {{ clean_text('CURRENCY_NAME') }} as currency_name,
        {{ clean_text(without_card_numbers('TENDER_NAME')) }} as payment_method,
        {{ clean_text('STORE_CODE') }} as store_code,
        {{ clean_integer('STORE_NO') }} as store_no,
        {{ clean_text(without_zero_decimals('SBS_NO')) }} as subsidiary,
        {{ without_placeholder(clean_text(without_card_numbers('SHIP_METHOD'))) }}
            as shipping_method,

        -- numerics
        {{ clean_decimal('SOLD_QTY') }} as sold_quantity,
        {{ clean_decimal('RETURN_QTY') }} as returned_quantity,
        {{ clean_decimal('SALE_TOTAL_AMT') }} as sale_total,
        {{ clean_decimal('SALE_SUBTOTAL') }} as sale_subtotal,
        {{ clean_decimal('SALE_TOTAL_TAX_AMT') }} as sale_tax,
        {{ clean_decimal('TOTAL_DISCOUNT_AMT') }} as discount,
        {{ clean_decimal('SHIPPING_AMT') }} as shipping,
        {{ clean_decimal('TOTAL_FEE_AMT') }} as total_fee,
        {{ clean_decimal('RETURN_SUBTOTAL') }} as return_subtotal,
        {{ clean_decimal('RETURN_SUBTOTAL_WITH_TAX') }} as return_subtotal_with_tax,
        {{ clean_decimal('RETURN_TOTAL_TAX_AMT') }} as return_tax,
        {{ clean_decimal('TRANSACTION_TOTAL_AMT') }} as transaction_total,
        {{ clean_integer('STATUS') }} as status,
        {{ clean_integer('RECEIPT_TYPE') }} as receipt_type,
        {{ clean_integer('ORDER_TYPE') }} as order_type,
        {{ clean_integer('ROW_VERSION') }} as row_version,

        -- flags
        {{ clean_boolean('HAS_SALE') }} as has_sale,
        {{ clean_boolean('HAS_RETURN') }} as has_return,
        {{ clean_boolean('IS_HELD') }} as is_held,
        {{ clean_boolean('USE_VAT') }} as uses_vat,

        -- timestamps
        {{ clean_text('INVC_POST_DATE') }} is not null
        and not {{ is_filler_time('INVC_POST_DATE') }} as has_invoice_time,
        if(has_invoice_time, INVC_POST_DATE, CREATED_DATETIME) as business_time,
        {{ clean_wall_time('business_time') }} as business_wall_time,
        {{ clean_offset('business_time') }} as business_offset,
        {{ clean_zone('business_time') }} as business_zone,
        {{ clean_wall_time('MODIFIED_DATETIME') }} as modified_wall_time,
        {{ clean_offset('MODIFIED_DATETIME') }} as modified_offset,
        {{ clean_zone('MODIFIED_DATETIME') }} as modified_zone,
        {{ clean_wall_time('POST_DATE') }} as posted_wall_time,
        {{ clean_offset('POST_DATE') }} as posted_offset,
        {{ clean_zone('POST_DATE') }} as posted_zone,
        {{ store_zone('subsidiary', 'store_no', 'store_code') }} as zone_of_store,

        -- what could not be read
        {{ unreadable_columns([
            'SOLD_QTY', 'RETURN_QTY', 'SALE_TOTAL_AMT', 'SALE_SUBTOTAL', 'SALE_TOTAL_TAX_AMT',
            'TOTAL_DISCOUNT_AMT', 'SHIPPING_AMT', 'RETURN_SUBTOTAL', 'RETURN_SUBTOTAL_WITH_TAX',
            'RETURN_TOTAL_TAX_AMT', 'TRANSACTION_TOTAL_AMT', 'TOTAL_FEE_AMT',
        ], clean_decimal) }} as unreadable_numbers,
        {{ rounded_columns([
            'SOLD_QTY', 'RETURN_QTY', 'SALE_TOTAL_AMT', 'SALE_SUBTOTAL', 'SALE_TOTAL_TAX_AMT',
            'TOTAL_DISCOUNT_AMT', 'SHIPPING_AMT', 'RETURN_SUBTOTAL', 'RETURN_SUBTOTAL_WITH_TAX',
            'RETURN_TOTAL_TAX_AMT', 'TRANSACTION_TOTAL_AMT', 'TOTAL_FEE_AMT',
        ]) }} as rounded_numbers,
        arrayConcat(
            {{ unreadable_columns(['STATUS', 'RECEIPT_TYPE'], clean_integer) }},
            {{ unreadable_columns(
                ['HAS_SALE', 'HAS_RETURN', 'IS_HELD', 'USE_VAT'], clean_boolean
            ) }}
        ) as unreadable_flags,
        {{ unreadable_columns(['BT_CUID', 'REF_SALE_SID'], clean_sid) }} as malformed_references,
        {{ had_card_number(['TENDER_NAME', 'SHIP_METHOD']) }} as had_card_number,

        -- origin
        content_hash,
        order_content,
        _load_id,
        _file,
        _line,
        _loaded_at,
        {{ staged_at() }} as _staged_at
    from tidied

),

zoned as (

    select
        *,
        {{ known_zone("ifNull(modified_zone, zone_of_store)") }} as changed_in,
        {{ known_zone("ifNull(posted_zone, zone_of_store)") }} as posted_in
    from typed

),

-- When the row was changed and when it arrived, as instants.
placed as (

    select
        * except (
            modified_offset, modified_zone, posted_offset, posted_zone, zone_of_store, changed_in,
            posted_in
        ),
        {{ to_instant('modified_wall_time', 'modified_offset', 'changed_in') }} as modified_at,
        {{ to_instant('posted_wall_time', 'posted_offset', 'posted_in') }} as posted_at
    from zoned

)

select * from placed
