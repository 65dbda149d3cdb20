-- E-mail addresses of changed customers that more than the allowed number of other customers
-- have: nobody's own before this build and after it, whoever joins or leaves.
with staged as (

    select row_key from {{ ref('stg_retail_pro__customers') }}
    where _staged_at > (select built_until from {{ ref('int_build_scope') }})

),

emails as (

    select email from {{ ref('stg_retail_pro__customers') }}
    where row_key in (select row_key from staged) and email is not null
    group by email

),

-- A hundred of each, so that an address of very many costs no more than others.
others as (

    select
        email,
        row_key
    from {{ ref('stg_retail_pro__customers') }}
    where email in (select email from emails) and row_key not in (select row_key from staged)
    order by email
    limit 100 by email

),

users as (

    select
        source_sid,
        email
    from {{ ref('stg_retail_pro__customers') }}
    where row_key in (select row_key from others)
    order by {{ newest_version_first('row_key') }}
    limit 1 by row_key

)

select assumeNotNull(email) as email
from users
where email is not null
group by email
having uniqExact(source_sid) > {{ var('shared_email_limit') }}
