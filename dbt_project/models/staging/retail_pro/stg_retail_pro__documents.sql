with source as (

    select * from {{ ref('base_retail_pro__documents') }}

),

typed as (

    select
        -- ids
        {{ trimmed('SID') }} as source_sid,
        {{ clean_sid('SID') }} as document_sid,
        {{ row_key('document_sid') }} as row_key,
        {{ clean_reference('BT_CUID') }} as customer_sid,
        {{ clean_reference('REF_SALE_SID') }} as referenced_sale_sid,
        {{ clean_text('DOC_NO') }} as receipt_number,

        -- text
        {{ clean_email('BT_EMAIL') }} as email,
        {{ clean_text('CURRENCY_NAME') }} as currency_name,
        {{ clean_text('TENDER_NAME') }} as payment_method,
        {{ clean_text('STORE_CODE') }} as store_code,
        {{ clean_integer('STORE_NO') }} as store_no,
        {{ clean_text('SBS_NO') }} as subsidiary,
        {{ clean_text('SHIP_METHOD') }} as shipping_method,

        -- numerics
        {{ clean_decimal('SOLD_QTY') }} as sold_quantity,
        {{ clean_decimal('RETURN_QTY') }} as returned_quantity,
        {{ clean_decimal('SALE_TOTAL_AMT') }} as sale_total,
        {{ clean_decimal('SALE_SUBTOTAL') }} as sale_subtotal,
        {{ clean_decimal('SALE_TOTAL_TAX_AMT') }} as sale_tax,
        {{ clean_decimal('TOTAL_DISCOUNT_AMT') }} as discount,
        {{ clean_decimal('SHIPPING_AMT') }} as shipping,
        {{ clean_decimal('RETURN_SUBTOTAL') }} as return_subtotal,
        {{ clean_decimal('RETURN_SUBTOTAL_WITH_TAX') }} as return_subtotal_with_tax,
        {{ clean_decimal('RETURN_TOTAL_TAX_AMT') }} as return_tax,
        {{ clean_integer('STATUS') }} as status,
        {{ clean_integer('RECEIPT_TYPE') }} as receipt_type,
        {{ clean_integer('ROW_VERSION') }} as row_version,

        -- flags
        {{ clean_boolean('HAS_SALE') }} as has_sale,
        {{ clean_boolean('HAS_RETURN') }} as has_return,
        {{ clean_boolean('IS_HELD') }} as is_held,
        {{ clean_boolean('USE_VAT') }} as uses_vat,

        -- timestamps
        {{ clean_text('INVC_POST_DATE') }} is not null as has_invoice_time,
        if(has_invoice_time, INVC_POST_DATE, CREATED_DATETIME) as business_time,
        {{ clean_wall_time('business_time') }} as business_wall_time,
        {{ clean_offset('business_time') }} as business_offset,
        {{ clean_wall_time('MODIFIED_DATETIME') }} as modified_wall_time,
        {{ clean_offset('MODIFIED_DATETIME') }} as modified_offset,
        {{ clean_wall_time('POST_DATE') }} as posted_wall_time,

        -- what could not be read
        {{ unreadable_columns([
            'SOLD_QTY', 'RETURN_QTY', 'SALE_TOTAL_AMT', 'SALE_SUBTOTAL', 'SALE_TOTAL_TAX_AMT',
            'TOTAL_DISCOUNT_AMT', 'SHIPPING_AMT', 'RETURN_SUBTOTAL', 'RETURN_SUBTOTAL_WITH_TAX',
            'RETURN_TOTAL_TAX_AMT',
        ], clean_decimal) }} as unreadable_numbers,

        -- origin
        _file,
        _line,
        _loaded_at
    from source

)

select * from typed
order by {{ newest_version_first() }}
limit 1 by row_key
