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

-- An address of many, or of a dummy, is nobody's own.
shared_emails as (

    select email
    from customers
    where email is not null
    group by email
    having uniqExact(source_sid) > {{ var('shared_email_limit') }}

),

recognised as (

    select
        *,
        trim(concat(ifNull(first_name, ''), ' ', ifNull(last_name, ''))) as full_name,
        multiIf(
            ('sid', source_sid) in (select (match_by, value) from dummies)
            or ('name', {{ comparable_name('full_name') }}) in (
                select (match_by, value) from dummies
            )
            or ('name', {{ comparable_name('name_as_typed') }}) in (
                select (match_by, value) from dummies
            )
            or ('email', upper(ifNull(email_as_typed, ''))) in (
                select (match_by, value) from dummies
            ),
            'dummy_customer',
            source_sid in (select user_id from {{ ref('suppressed_users') }}), 'suppressed',
            is_active = 0, 'inactive',
            null
        ) as exclusion_reason
    from customers

),

screened as (

    select
        * except (email),
        ifNull(exclusion_reason, '') = 'dummy_customer'
        or recognised.email in (select email from shared_emails) as has_nobodys_email,
        if(has_nobodys_email, null, recognised.email) as email,
        if(has_nobodys_email, recognised.email, null) as nobodys_email,
        if(customer_sid is null, 'sid_malformed', null) as failure_code
    from recognised

)

select * from screened
