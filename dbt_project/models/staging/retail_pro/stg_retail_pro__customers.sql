{{ config(**staged_table('row_key', ['email'])) }}

with source as (

    {{ new_rows(ref('base_retail_pro__customers'), 'customer') }}

),

tidied as (

    select
        {{- tidied([
            'SID', 'CUST_ID', 'FIRST_NAME', 'LAST_NAME', 'EMAIL', 'MARKETING_FLAG', 'LTY_OPT_IN',
            'LTY_BALANCE', 'TOTAL_TRANSACTIONS', 'SALE_ITEM_COUNT', 'RETURN_ITEM_COUNT',
            'YTD_SALE', 'CREATED_DATETIME', 'ACTIVE', 'CUST_TYPE', 'MODIFIED_DATETIME',
            'POST_DATE', 'ROW_VERSION',
        ]) }}
        match(
            concat(source.FIRST_NAME, ' ', source.LAST_NAME), '{{ damaged_text() }}'
        ) as is_text_damaged,
        {{ content_hash() }} as content_hash,
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
        {{ clean_sid('SID') }} as customer_sid,
        {{ row_key('customer_sid') }} as row_key,
        {{ without_placeholder(clean_text('CUST_ID')) }} as cust_id,

        -- text
        {{ without_placeholder(clean_text(without_card_numbers('FIRST_NAME')), 'name') }}
            as first_name,
        {{ without_placeholder(clean_text(without_card_numbers('LAST_NAME')), 'name') }}
            as last_name,
        trim(concat(FIRST_NAME, ' ', LAST_NAME)) as name_as_typed,
        {{ clean_text('EMAIL') }} as email_as_typed,
        {{ clean_email('EMAIL') }} as email,
        {{ clean_text(without_zero_decimals('MARKETING_FLAG')) }} as marketing_flag,

        -- numerics
        {{ clean_decimal('LTY_BALANCE') }} as loyalty_points,
        {{ clean_decimal('YTD_SALE') }} as ytd_spend,
        {{ clean_decimal('TOTAL_TRANSACTIONS') }} as counted_orders,
        {{ clean_decimal('SALE_ITEM_COUNT') }} as counted_items_purchased,
        {{ clean_decimal('RETURN_ITEM_COUNT') }} as counted_items_returned,
        {{ clean_integer('CUST_TYPE') }} as customer_type,
        {{ clean_integer('ROW_VERSION') }} as row_version,

        -- flags
        {{ clean_boolean('LTY_OPT_IN') }} as is_loyalty_member,
        {{ clean_boolean('ACTIVE') }} as is_active,

        -- timestamps
        {{ clean_wall_time('CREATED_DATETIME') }} as created_wall_time,
        {{ clean_offset('CREATED_DATETIME') }} as created_offset,
        {{ clean_zone('CREATED_DATETIME') }} as created_zone,
        {{ clean_wall_time('MODIFIED_DATETIME') }} as modified_wall_time,
        {{ clean_offset('MODIFIED_DATETIME') }} as modified_offset,
        {{ clean_zone('MODIFIED_DATETIME') }} as modified_zone,
        {{ clean_wall_time('POST_DATE') }} as posted_wall_time,
        {{ clean_offset('POST_DATE') }} as posted_offset,
        {{ clean_zone('POST_DATE') }} as posted_zone,

        -- what could not be read
        {{ unreadable_columns(['ACTIVE'], clean_boolean) }} as unreadable_flags,
        arrayConcat(
            {{ unreadable_columns(
                ['LTY_BALANCE', 'YTD_SALE', 'TOTAL_TRANSACTIONS', 'SALE_ITEM_COUNT', 'RETURN_ITEM_COUNT'],
                clean_decimal
            ) }},
            {{ unreadable_columns(['LTY_OPT_IN'], clean_boolean) }},
            {{ unreadable_columns(['CUST_TYPE'], clean_integer) }},
            {{ unreadable_columns(['CREATED_DATETIME'], clean_wall_time) }}
        ) as unreadable_traits,
        {{ rounded_columns(
            ['LTY_BALANCE', 'YTD_SALE', 'TOTAL_TRANSACTIONS', 'SALE_ITEM_COUNT', 'RETURN_ITEM_COUNT']
        ) }} as rounded_traits,
        {{ had_card_number(['FIRST_NAME', 'LAST_NAME']) }} as had_card_number,
        is_text_damaged,

        -- origin
        content_hash,
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
        {{ known_zone("ifNull(modified_zone, '" ~ var('default_timezone') ~ "')") }} as changed_in,
        {{ known_zone("ifNull(posted_zone, '" ~ var('default_timezone') ~ "')") }} as posted_in
    from typed

),

-- When the row was changed and when it arrived, as instants.
placed as (

    select
        * except (
            modified_offset, modified_zone, posted_offset, posted_zone, changed_in, posted_in
        ),
        {{ to_instant('modified_wall_time', 'modified_offset', 'changed_in') }} as modified_at,
        {{ to_instant('posted_wall_time', 'posted_offset', 'posted_in') }} as posted_at
    from zoned

)

select * from placed
