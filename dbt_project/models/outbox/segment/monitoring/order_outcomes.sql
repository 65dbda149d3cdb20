-- What became of each document of the export, and why one was not sent. The worse side counts
-- for an exchange.
with documents as (

    select * from {{ ref('int_document_states') }}
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

),

orders as (

    select
        row_key,
        any(exclusion_reason) as exclusion_reason,
        any(customer_sid) as customer_sid
    from {{ ref('orders') }}
    group by row_key

),

failures as (

    select
        entity_id,
        min(error_code) as failure_code
    from {{ ref('unsendable_rows') }}
    -- A refund that changed after it was sent has gone out.
    where entity_type = 'order' and error_code != 'refund_changed'
    group by entity_id

),

messages as (

    select * from {{ ref('message_outcomes') }}
    where entity = 'order'

),

withheld as (

    select entity_id from {{ source('segment_delivery', 'segment_message_basis') }}
    where kind in ('sale', 'return') and state = 'withheld'
    -- As a setting, because unit tests put a query in the table's place.
    settings final = 1

),

explained as (

    select
        documents.source_sid as source_sid,
        documents.document_sid as document_sid,
        documents._loaded_at as _loaded_at,
        coalesce(
            documents.non_event_reason,
            orders.exclusion_reason,
            if(documents.document_sid in (select entity_id from withheld), 'suppressed', null),
            {{ "if(orders.customer_sid is null and orders.row_key != '', 'guest', null)"
                if var('guest_orders') == 'skip' else 'null' }}
        ) as non_event_reason,
        failures.failure_code as failure_code
    from documents
    left join orders on documents.row_key = orders.row_key
    left join failures on documents.source_sid = failures.entity_id

)

select
    explained.source_sid as source_sid,
    explained.document_sid as document_sid,
    multiIf(
        explained.non_event_reason is not null, 'not_an_event',
        explained.failure_code != '', 'held',
        messages.outcome = '', 'pending',
        messages.outcome = 'sent' and messages.entered_at < explained._loaded_at, 'unchanged',
        messages.outcome
    ) as outcome,
    multiIf(
        explained.non_event_reason is not null, assumeNotNull(explained.non_event_reason),
        explained.failure_code != '', explained.failure_code,
        messages.outcome = '', 'not_built',
        messages.reason
    ) as reason,
    explained._loaded_at as _loaded_at
from explained
left join messages on explained.document_sid = messages.entity_id
