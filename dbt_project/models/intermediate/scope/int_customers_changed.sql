{{ config(order_by='row_key') }}

-- Customers that this build works on: those with new rows, and those whose e-mail address is one
-- that these have or had, since an address of several is judged by how many they are.
with staged as (

    select row_key from {{ ref('stg_retail_pro__customers') }}
    where _staged_at > (select built_until from {{ ref('int_build_scope') }})

),

emails as (

    select email from {{ ref('stg_retail_pro__customers') }}
    where {{ changed_only('row_key', 'staged') }} and email is not null
    group by email

),

candidates as (

    select row_key from {{ ref('stg_retail_pro__customers') }}
    where
        email in (select email from emails)
        and email not in (select email from {{ ref('int_emails_in_wide_use') }})
        and row_key not in (select row_key from staged)

),

-- Who had the address once and has another now must not join, since nobody else who has the
-- other one would.
sharers as (

    select
        row_key,
        email
    from {{ ref('stg_retail_pro__customers') }}
    where row_key in (select row_key from candidates)
    order by {{ newest_version_first('row_key') }}
    limit 1 by row_key

)

select row_key from staged
union distinct
select row_key from sharers
where email in (select email from emails)
