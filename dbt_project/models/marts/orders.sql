-- Orders as they were built last. Whether an address is nobody's own is asked here: other customers
-- and receipts decide that later, and the order is not built again then.
with nobodys as (

    select
        email,
        judged_by
    from {{ ref('int_nobodys_emails') }}

),

stores_own as (

    select email from nobodys
    where judged_by = 'receipts'

),

-- All guests' addresses at these domains are a store's.
store_domains as (

    select {{ domain_of('email') }} as store_domain
    from nobodys
    where
        judged_by in ('receipts', 'dummy_customers')
        and store_domain not in (select provider from {{ ref('email_providers') }})

),

others as (

    select email from nobodys
    where judged_by != 'receipts'

),

orders as (

    select
        * except (built_at, is_gone),
        not is_own_email and email in (select email from others) as is_nobodys_email,
        not is_own_email and (
            email in (select email from stores_own)
            -- Not of customers, since staff buy too.
            or customer_sid is null
            and {{ domain_of('email') }} in (select store_domain from store_domains)
        ) as is_stores_email
    from {{ ref('int_order_states') }}

)

-- As a setting, because unit tests put a query in the table's place.
select
    orders.* except (
        email, warnings, is_own_email, business_day, is_nobodys_email, is_stores_email
    ),
    if(orders.is_nobodys_email or orders.is_stores_email, null, orders.email) as email,
    if(
        orders.is_stores_email and not orders.is_nobodys_email,
        arrayPushBack(orders.warnings, 'email_of_the_store'), orders.warnings
    ) as warnings
from orders
settings final = 1
