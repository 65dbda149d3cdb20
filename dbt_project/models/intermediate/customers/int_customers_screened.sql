{{ config(**state_table('row_key', [
    {'name': 'facts', 'definition': 'order_facts_changed_at type minmax granularity 1'},
    {'name': 'nobodys', 'definition': 'nobodys_email type bloom_filter granularity 1'},
])) }}

{%- set changed = ref('int_customers_changed') %}
-- Customers with the e-mail address that is their own, their consent, and the reason why a row
-- is nobody.
with customers as (

    select * from {{ ref('int_customers_current') }}

),

dummies as (

    select
        match_by,
        {{ comparable_name('value') }} as value
    from {{ ref('dummy_customers') }}
    union all
    select
        'name' as match_by,
        {{ comparable_name('name') }} as value
    from {{ ref('dummy_names') }}

),

consents as (

    select
        trim(marketing_flag) as known_flag,
        toUInt8OrNull(opted_in) as is_opted_in,
        arrayFilter(id -> id != '', splitByRegexp(' *; *', trim(consent_categories)))
            as consent_categories
    from {{ ref('marketing_flags') }}

),

-- An address of many, or of a dummy, is nobody's own.
used_emails as (

    select
        email as used_email,
        uniqExact(source_sid) as users,
        email in (select email from {{ ref('int_emails_in_wide_use') }}) as is_in_wide_use
    from customers
    where email is not null
    group by email

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
            source_sid in (select trim(user_id) from {{ ref('suppressed_users') }}), 'suppressed',
            is_active = 0, 'inactive',
            null
        ) as exclusion_reason
    from customers

),

screened as (

    select
        recognised.* except (email),
        ifNull(recognised.exclusion_reason, '') = 'dummy_customer'
        or used_emails.is_in_wide_use
        or used_emails.users > {{ var('shared_email_limit') }} as has_nobodys_email,
        if(has_nobodys_email, null, recognised.email) as email,
        if(has_nobodys_email, recognised.email, null) as nobodys_email,
        consents.is_opted_in as is_opted_in,
        consents.consent_categories as consent_categories,
        multiIf(
            recognised.customer_sid is null, 'sid_malformed',
            notEmpty(recognised.unreadable_flags), 'flag_unreadable',
            null
        ) as failure_code,
        arrayFilter(code -> code != '', [
            if(
                recognised.email is null and recognised.email_as_typed is not null,
                'email_unusable', ''
            ),
            multiIf(
                has_nobodys_email and recognised.email is not null, 'email_shared_by_many',
                used_emails.users > 1, 'email_on_several_customers',
                ''
            ),
            if(notEmpty(recognised.unreadable_traits), 'trait_unreadable', ''),
            if(recognised.is_text_damaged = 1, 'text_damaged', ''),
            if(recognised.had_card_number = 1, 'card_number_removed', ''),
            if(notEmpty(recognised.rounded_traits), 'number_rounded', '')
        ]) as warnings
    from recognised
    left join used_emails on recognised.email = used_emails.used_email
    left join consents on recognised.marketing_flag = consents.known_flag

),

-- What orders take from their customer, and when it last changed.
dated as (

    select
        screened.*,
        cityHash64(toString(
            (email, nobodys_email, is_opted_in, consent_categories, exclusion_reason)
        )) as order_facts,
        scope.staged_until as built_at,
        toUInt8(0) as is_gone
    from screened
    cross join {{ ref('int_build_scope') }} as scope

),

before as (

    {% if is_incremental() -%}
        select
            row_key,
            order_facts,
            order_facts_changed_at
        from {{ this }}
        where row_key in (select row_key from {{ changed }})
        -- As a setting, because unit tests put a query in the table's place.
        settings final = 1
    {%- else -%}
        select
            '' as row_key,
            toUInt64(0) as order_facts,
            toDateTime64(0, 6, 'UTC') as order_facts_changed_at
        where false
    {%- endif %}

)

select
    dated.*,
    if(
        before.order_facts = dated.order_facts, before.order_facts_changed_at, dated.built_at
    ) as order_facts_changed_at
from dated
left join before on dated.row_key = before.row_key
