-- What became of each customer of the export, and why one was not sent.
with customers as (

    select * from {{ ref('customers') }}

),

messages as (

    select * from {{ ref('message_outcomes') }}
    where entity = 'customer'

)

select
    customers.source_sid as source_sid,
    multiIf(
        customers.exclusion_reason is not null, 'not_an_event',
        customers.failure_code is not null, 'held',
        messages.outcome = '', 'pending',
        messages.outcome = 'sent' and messages.entered_at < customers._loaded_at, 'unchanged',
        messages.outcome
    ) as outcome,
    coalesce(
        customers.exclusion_reason,
        customers.failure_code,
        if(messages.outcome = '', 'not_built', messages.reason)
    ) as reason,
    customers._loaded_at as _loaded_at
from customers
left join messages on customers.customer_sid = messages.entity_id
