{{ config(**state_table('(email, judged_by, store_key, business_day)')) }}

-- E-mail addresses that are nobody's own, by what shows it: a customer (an address of many, or of a
-- dummy), or more receipts of one store and day than a guest has. A build looks at the addresses of
-- what it worked on; at those of receipts on the days that they are or were of.
with customers as (

    select email from {{ ref('stg_retail_pro__customers') }}
    where {{ changed_only('row_key', ref('int_customers_changed')) }} and email is not null
    group by email

),

receipts as (

    select
        email,
        toDate(business_wall_time) as business_day
    from {{ ref('stg_retail_pro__documents') }}
    where
        {{ changed_only('row_key', ref('int_documents_changed')) }}
        and email is not null
        and business_day is not null
    group by email, business_day

),

by_customers as (

    select
        assumeNotNull(nobodys_email) as email,
        'customers' as judged_by,
        '' as store_key,
        toDate(0) as business_day
    from {{ ref('int_customers_screened') }}
    where nobodys_email is not null and {{ changed_only('nobodys_email', 'customers', 'email') }}
    group by email
    settings final = 1

),

by_receipts as (

    select
        assumeNotNull(orders.email) as email,
        'receipts' as judged_by,
        orders.store_key as store_key,
        assumeNotNull(orders.business_day) as business_day
    from {{ ref('int_order_states') }} as orders
    where
        orders.customer_sid is null
        and orders.email is not null
        and orders.business_day is not null
        -- Of the pairs alone no index is used.
        and {{ changed_only('orders.email', 'receipts', 'email') }}
        and {{ changed_only('orders.business_day', 'receipts', 'business_day') }}
        and {{ changed_only(
            '(orders.email, orders.business_day)', 'receipts', 'email, business_day'
        ) }}
    group by email, store_key, business_day
    having uniqExact(orders.row_key) > {{ var('shared_email_limit') }}
    settings final = 1

),

judged as (

    select * from by_customers
    union all
    select * from by_receipts
    union all
    select
        lower(trim(value)) as email,
        'dummy_customers' as judged_by,
        '' as store_key,
        toDate(0) as business_day
    from {{ ref('dummy_customers') }}
    where match_by = 'email'

),

scope as (

    select staged_until from {{ ref('int_build_scope') }}

)

select
    judged.*,
    scope.staged_until as built_at,
    toUInt8(0) as is_gone
from judged
cross join scope
{% if is_incremental() -%}
    union all
    select
        before.* except (built_at, is_gone),
        scope.staged_until as built_at,
        toUInt8(1) as is_gone
    from (
        select * from {{ this }}
        settings final = 1
    ) as before
    cross join scope
    where
        (
            before.judged_by = 'customers'
            and {{ changed_only('before.email', 'customers', 'email') }}
            or before.judged_by = 'receipts'
            and {{ changed_only(
                '(before.email, before.business_day)', 'receipts', 'email, business_day'
            ) }}
        )
        and (before.email, before.judged_by, before.store_key, before.business_day) not in (
            select (email, judged_by, store_key, business_day) from judged
        )
{%- endif %}
