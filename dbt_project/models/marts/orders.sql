-- Orders as they were built last. Whether an address is nobody's own is asked here: other customers
-- and receipts decide that later, and the order is not built again then.
with nobodys as (

    select
        email,
        judged_by
    from {{ ref('int_nobodys_emails') }}

),

-- All addresses at these domains are a store's.
store_domains as (

    select {{ domain_of('email') }} as store_domain
    from nobodys
    where
        judged_by in ('receipts', 'dummy_customers')
        and store_domain not in (select provider from {{ ref('email_providers') }})

),

judged as (

    select
        * except (built_at, is_gone),
        not is_own_email and email in (
            select email from nobodys where judged_by != 'receipts'
        ) as is_nobodys_email,
        not is_own_email and (
            email in (select email from nobodys where judged_by = 'receipts')
            -- Not of customers, since staff buy too.
            or customer_sid is null
            and {{ domain_of('email') }} in (select store_domain from store_domains)
        ) as is_stores_email
    from {{ ref('int_order_states') }}

)

-- As a setting, because unit tests put a query in the table's place.
select
    * except (is_own_email, business_day, is_nobodys_email, is_stores_email) replace (
        if(is_nobodys_email or is_stores_email, null, email) as email,
        if(
            is_stores_email and not is_nobodys_email,
            arrayPushBack(warnings, 'email_of_the_store'), warnings
        ) as warnings
    )
from judged
settings final = 1
