-- Customers with the e-mail address that is their own, and the reason why a row is nobody.
with customers as (

    select * from {{ ref('stg_retail_pro__customers') }}

),

dummies as (

    select
        match_by,
        {{ comparable_name('value') }} as value
    from {{ ref('dummy_customers') }}

),

shared_emails as (

    select email
    from customers
    where email is not null
    group by email
    having uniqExact(source_sid) > {{ var('shared_email_limit') }}

),

screened as (

    select
        * except (email),
        trim(concat(ifNull(first_name, ''), ' ', ifNull(last_name, ''))) as full_name,
        if(email in (select email from shared_emails), null, email) as email,
        multiIf(
            source_sid in (select value from dummies where match_by = 'sid')
            or {{ comparable_name('full_name') }} in (select value from dummies where match_by = 'name')
            or upper(email_as_typed) in (select value from dummies where match_by = 'email'),
            'dummy_customer',
            source_sid in (select user_id from {{ ref('suppressed_users') }}), 'suppressed',
            is_active = 0, 'inactive',
            null
        ) as exclusion_reason,
        if(customer_sid is null, 'sid_malformed', null) as failure_code
    from customers

)

select * from screened
