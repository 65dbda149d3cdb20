with customers as (

    select *
    from {{ ref('customers') }}
    where failure_code is null and exclusion_reason is null

),

rendered as (

    select
        *,
        toJSONString(cast(
            (
                'identify',
                assumeNotNull(customer_sid),
                (
                    email, first_name, last_name, name,
                    {{ iso_time_utc('created_at') }},
                    cust_id, is_opted_in, is_loyalty_member, loyalty_points,
                    total_orders, lifetime_items_purchased, lifetime_items_returned,
                    ytd_spend, lifetime_revenue, average_order_value,
                    {{ iso_time_utc('first_order_at') }},
                    {{ iso_time_utc('last_order_at') }},
                    favorite_store,
                    if(is_employee, true, null)
                ),
                (
                    if(
                        cust_id is null, [],
                        [(assumeNotNull(cust_id), 'retail_pro_customer_id', 'users', 'none')]
                    ),
                    {{ consent() }},
                    false
                )
            ),
            'Tuple(
                type String,
                userId String,
                traits Tuple(
                    email Nullable(String),
                    firstName Nullable(String),
                    lastName Nullable(String),
                    name Nullable(String),
                    createdAt Nullable(String),
                    customerId Nullable(String),
                    marketingOptIn Nullable(Bool),
                    loyaltyOptIn Nullable(Bool),
                    loyaltyPoints Nullable(Decimal(38, 6)),
                    totalOrders Nullable(Decimal(38, 6)),
                    lifetimeItemsPurchased Nullable(Decimal(38, 6)),
                    lifetimeItemsReturned Nullable(Decimal(38, 6)),
                    ytdSpend Nullable(Decimal(38, 6)),
                    lifetimeRevenue Nullable(Decimal(38, 6)),
                    averageOrderValue Nullable(Decimal(38, 6)),
                    firstOrderAt Nullable(String),
                    lastOrderAt Nullable(String),
                    favoriteStore Nullable(String),
                    employee Nullable(Bool)
                ),
                context Tuple(
                    externalIds Array(Tuple(id String, type String, collection String, encoding String)),
                    consent {{ consent_type() }},
                    active Bool
                )
            )'
        )) as json
    from customers

)

select
    'identify' as call,
    'Identify' as event,
    assumeNotNull(customer_sid) as user_id,
    '' as anonymous_id,
    'customer' as entity,
    user_id as entity_id,
    row_key,
    modified_at as occurred_at,
    {{ without_consent(without_empty('json', ['externalIds'])) }} as body
from rendered
