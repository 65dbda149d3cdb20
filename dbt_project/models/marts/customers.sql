with screened as (

    select
        *,
        nullIf('{{ var("default_timezone") }}', '') as stated_zone,
        stated_zone is not null as has_zone,
        ifNull(stated_zone, 'UTC') as zone
    from {{ ref('int_customers_screened') }}

),

order_totals as (

    select * from {{ ref('int_customer_order_totals') }}

),

consent as (

    select * from {{ ref('marketing_flags') }}

),

customers as (

    select
        -- ids
        screened.source_sid as source_sid,
        screened.customer_sid as customer_sid,
        screened.cust_id as cust_id,

        -- text
        screened.email as email,
        if({{ is_whole_name() }}, null, screened.first_name) as first_name,
        screened.last_name as last_name,
        nullIf(screened.full_name, '') as name,
        order_totals.favorite_store as favorite_store,

        -- numerics
        screened.loyalty_points as loyalty_points,
        screened.ytd_spend as ytd_spend,
        ifNull(order_totals.total_orders, 0) as total_orders,
        ifNull(order_totals.items_purchased, 0) as lifetime_items_purchased,
        ifNull(order_totals.items_returned, 0) as lifetime_items_returned,
        order_totals.lifetime_revenue as lifetime_revenue,
        order_totals.average_order_value as average_order_value,

        -- flags
        screened.is_loyalty_member = 1 as is_loyalty_member,
        toUInt8OrNull(consent.opted_in) = 1 as is_opted_in,
        ifNull(screened.customer_type, 0) = 1 as is_employee,

        -- timestamps
        {{ to_instant('created_wall_time', 'created_offset', 'zone', 'has_zone') }} as created_at,
        {{ to_instant('modified_wall_time', 'modified_offset', 'zone', 'has_zone') }}
            as modified_at,
        order_totals.first_order_at as first_order_at,
        order_totals.last_order_at as last_order_at,

        -- what keeps it from being sent
        screened.failure_code as failure_code,
        screened.exclusion_reason as exclusion_reason,
        screened._file as _file,
        screened._line as _line,
        screened._loaded_at as _loaded_at
    from screened
    left join order_totals on screened.customer_sid = order_totals.customer_sid
    left join consent on screened.marketing_flag = consent.marketing_flag

)

select * from customers
