{{ config(**staged_table("(ifNull(document_sid, ''), row_key)", ['row_key'])) }}

with source as (

    {{ new_rows(ref('base_retail_pro__document_items'), 'document_item') }}

),

tidied as (

    select
        {{- tidied([
            'SID', 'DOC_SID', 'ITEM_POS', 'ALU', 'DESCRIPTION1', 'DCS_CODE', 'VEND_CODE', 'QTY',
            'PRICE', 'TAX_AMT', 'ITEM_SIZE', 'ATTRIBUTE', 'INVN_SBS_ITEM_SID', 'ITEM_TYPE',
            'KIT_FLAG', 'DIP_PRICE', 'RETURNED_ITEM_INVOICE_SID', 'MODIFIED_DATETIME',
            'POST_DATE', 'ROW_VERSION',
        ]) }}
        {{ content_hash() }} as content_hash,
        {{ order_content('document_item') }} as order_content,
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
        {{ clean_sid('SID') }} as line_sid,
        {{ row_key('line_sid') }} as row_key,
        {{ clean_sid('DOC_SID') }} as document_sid,
        {{ without_placeholder(clean_text('ALU')) }} as alu,
        {{ clean_reference('INVN_SBS_ITEM_SID') }} as item_sid,
        {{ clean_reference('RETURNED_ITEM_INVOICE_SID') }} as returned_sale_sid,

        -- text
        {{ without_placeholder(clean_text(without_card_numbers('DESCRIPTION1'))) }} as product_name,
        {{ without_placeholder(clean_text('DCS_CODE')) }} as category,
        {{ without_placeholder(clean_text('VEND_CODE')) }} as brand,
        {{ without_placeholder(clean_text('ITEM_SIZE'), 'attribute') }} as item_size,
        {{ without_placeholder(clean_text('ATTRIBUTE'), 'attribute') }} as item_attribute,

        -- numerics
        {{ clean_integer('ITEM_POS') }} as line_number,
        {{ clean_integer('ITEM_TYPE') }} as item_type,
        {{ clean_integer('KIT_FLAG') }} as kit_flag,
        {{ clean_decimal('QTY') }} as quantity,
        {{ clean_decimal('PRICE') }} as price,
        {{ clean_decimal('DIP_PRICE') }} as discounted_price,
        {{ clean_decimal('TAX_AMT') }} as unit_tax,
        {{ clean_integer('ROW_VERSION') }} as row_version,

        -- timestamps
        {{ clean_wall_time('MODIFIED_DATETIME') }} as modified_wall_time,
        {{ clean_offset('MODIFIED_DATETIME') }} as modified_offset,
        {{ clean_zone('MODIFIED_DATETIME') }} as modified_zone,
        {{ clean_wall_time('POST_DATE') }} as posted_wall_time,
        {{ clean_offset('POST_DATE') }} as posted_offset,
        {{ clean_zone('POST_DATE') }} as posted_zone,

        -- what could not be read
        {{ unreadable_columns(['QTY', 'PRICE', 'DIP_PRICE', 'TAX_AMT'], clean_decimal) }}
            as unreadable_numbers,
        {{ rounded_columns(['QTY', 'PRICE', 'DIP_PRICE', 'TAX_AMT']) }} as rounded_numbers,
        {{ unreadable_columns(['ITEM_TYPE', 'KIT_FLAG'], clean_integer) }} as unreadable_flags,
        {{ unreadable_columns(['RETURNED_ITEM_INVOICE_SID'], clean_sid) }} as malformed_references,
        {{ had_card_number(['DESCRIPTION1']) }} as had_card_number,

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

-- Where the documents of those lines are whose times do not say it themselves.
document_zones as (

    select
        row_key as zoned_document_sid,
        argMax(
            {{ store_zone('subsidiary', 'store_no', 'store_code') }},
            ({{ exported_version() }}, _loaded_at, _line)
        ) as document_zone
    from {{ ref('stg_retail_pro__documents') }}
    where
        row_key in (
            select document_sid from typed
            where
                modified_wall_time is not null and modified_offset is null
                or posted_wall_time is not null and posted_offset is null
        )
    group by row_key

),

zoned as (

    select
        typed.*,
        '{{ var("default_timezone") }}' as default_zone,
        {{ known_zone('coalesce(modified_zone, document_zone, default_zone)') }} as changed_in,
        {{ known_zone('coalesce(posted_zone, document_zone, default_zone)') }} as posted_in
    from typed
    left join document_zones on typed.document_sid = document_zones.zoned_document_sid

),

-- When the row was changed and when it arrived, as instants.
placed as (

    select
        * except (
            modified_offset, modified_zone, posted_offset, posted_zone, default_zone, changed_in,
            posted_in
        ),
        {{ to_instant('modified_wall_time', 'modified_offset', 'changed_in') }} as modified_at,
        {{ to_instant('posted_wall_time', 'posted_offset', 'posted_in') }} as posted_at
    from zoned

)

select * from placed
