with source as (

    select * from {{ ref('base_retail_pro__customers') }}

),

typed as (

    select
        -- ids
        {{ trimmed('SID') }} as source_sid,
        {{ clean_sid('SID') }} as customer_sid,
        {{ row_key('customer_sid') }} as row_key,
        {{ clean_text('CUST_ID') }} as cust_id,

        -- text
        {{ without_placeholder(clean_text('FIRST_NAME'), 'name') }} as first_name,
        {{ without_placeholder(clean_text('LAST_NAME'), 'name') }} as last_name,
        {{ trimmed("concat(FIRST_NAME, ' ', LAST_NAME)") }} as name_as_typed,
        {{ clean_text('EMAIL') }} as email_as_typed,
        {{ clean_email('EMAIL') }} as email,
        {{ clean_text('MARKETING_FLAG') }} as marketing_flag,

        -- numerics
        {{ clean_decimal('LTY_BALANCE') }} as loyalty_points,
        {{ clean_decimal('YTD_SALE') }} as ytd_spend,
        {{ clean_integer('CUST_TYPE') }} as customer_type,
        {{ clean_integer('ROW_VERSION') }} as row_version,

        -- flags
        {{ clean_boolean('LTY_OPT_IN') }} as is_loyalty_member,
        {{ clean_boolean('ACTIVE') }} as is_active,

        -- timestamps
        {{ clean_wall_time('CREATED_DATETIME') }} as created_wall_time,
        {{ clean_offset('CREATED_DATETIME') }} as created_offset,
        {{ clean_wall_time('MODIFIED_DATETIME') }} as modified_wall_time,
        {{ clean_offset('MODIFIED_DATETIME') }} as modified_offset,
        {{ clean_wall_time('POST_DATE') }} as posted_wall_time,

        -- origin
        _file,
        _line,
        _loaded_at
    from source

)

select * from typed
order by {{ newest_version_first() }}
limit 1 by row_key
