{{ config(**state_table('row_key', [held_index()])) }}

-- Customers as of the last build that worked on them; see the mart customers.
with screened as (

    select
        *,
        {{ known_zone("ifNull(created_zone, '" ~ var('default_timezone') ~ "')") }} as created_in
    from {{ ref('int_customers_screened') }}
    where {{ changed_only('row_key', ref('int_customers_touched')) }}
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

),

order_totals as (

    select * from {{ ref('int_customer_order_totals') }}

),

customers as (

    select
        -- ids
        screened.row_key as row_key,
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
        {{ counter('total_orders', 'counted_orders') }} as total_orders,
        {{ counter('items_purchased', 'counted_items_purchased') }} as lifetime_items_purchased,
        {{ counter('items_returned', 'counted_items_returned') }} as lifetime_items_returned,
        order_totals.lifetime_revenue as lifetime_revenue,
        order_totals.average_order_value as average_order_value,

        -- flags
        screened.is_loyalty_member = 1 as is_loyalty_member,
        screened.is_opted_in = 1 as is_opted_in,
        screened.consent_categories as consent_categories,
        ifNull(screened.customer_type, 0) = 1 as is_employee,

        -- timestamps
        {{ to_instant(
            'screened.created_wall_time', 'screened.created_offset', 'screened.created_in'
        ) }} as stated_creation,
        ifNull({{ seconds_ahead('stated_creation', 'screened._loaded_at') }}, 0) > 0
            as is_created_ahead,
        if(is_created_ahead, null, stated_creation) as created_at,
        if(
            ifNull({{ seconds_ahead('screened.modified_at', 'screened._loaded_at') }}, 0) > 0,
            null, screened.modified_at
        ) as modified_at,
        order_totals.first_order_at as first_order_at,
        order_totals.last_order_at as last_order_at,

        -- what keeps it from being sent, and what is odd about it
        screened.failure_code as failure_code,
        screened.exclusion_reason as exclusion_reason,
        arrayConcat(screened.warnings, arrayFilter(code -> code != '', [
            if(
                stated_creation is null and screened.created_wall_time is not null,
                'created_time_without_zone', ''
            ),
            if(is_created_ahead, 'time_ahead', '')
        ])) as warnings,
        screened._file as _file,
        screened._line as _line,
        screened._loaded_at as _loaded_at,

        scope.staged_until as built_at,
        toUInt8(0) as is_gone
    from screened
    cross join {{ ref('int_build_scope') }} as scope
    left join order_totals on screened.customer_sid = order_totals.customer_sid

)

select * except (stated_creation, is_created_ahead) from customers
