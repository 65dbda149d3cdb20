with failures as (

    select
        entity_type,
        entity_id,
        event_type,
        'validation' as error_category,
        error_code,
        '' as detail,
        payload,
        created_at,
        0 as retry_count
    from {{ ref('unsendable_rows') }}
    union all
    select
        entity_type,
        entity_id,
        event_type,
        'permanent' as error_category,
        error_code,
        detail,
        payload,
        created_at,
        retry_count
    from {{ ref('refused_messages') }}
    union all
    select
        entity_type,
        entity_id,
        event_type,
        'transient' as error_category,
        error_code,
        detail,
        payload,
        created_at,
        retry_count
    from {{ ref('delayed_messages') }}

),

reasons as (

    select * from {{ ref('failure_reasons') }}

),

details as (

    select
        'order' as entity_type,
        *
    from {{ ref('failure_details') }}

),

-- A failure marked as resolved has a ledger row of that status: the refused
-- message's own, or one without a message for a row that never became one.
resolved as (

    select distinct
        entity,
        entity_id,
        reason_code
    from {{ source('segment_delivery', 'segment_delivery_ledger') }}
    where status = 'resolved'
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

)

select
    failures.entity_type as entity_type,
    failures.entity_id as entity_id,
    failures.event_type as event_type,
    failures.error_category as error_category,
    failures.error_code as error_code,
    coalesce(
        nullIf(failures.detail, ''),
        nullIf(trim(concat(details.detail, ' ', reasons.error_message)), ''),
        failures.error_code
    ) as error_message,
    failures.payload as payload,
    failures.created_at as created_at,
    failures.retry_count as retry_count,
    resolved.entity_id != '' and failures.error_category != 'transient' as resolved
from failures
left join reasons on failures.error_code = reasons.error_code
left join details
    on failures.entity_type = details.entity_type
    and failures.entity_id = details.entity_id
    and failures.error_code = details.error_code
left join resolved
    on failures.entity_type = resolved.entity
    and failures.entity_id = resolved.entity_id
    and failures.error_code = resolved.reason_code
