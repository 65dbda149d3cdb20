{{ config(**event_table('track')) }}

with changes as (

    select * from {{ ref('int_order_changes') }}

),

changed_sales as (

    select * from changes
    where kind = 'sale' and is_changed

),

completed_and_refunded as (

    {% for kind, messages in [
        ('sale', ref('order_completed')), ('return', ref('order_refunded')),
    ] -%}
        {{ 'union all' if not loop.first }}
        select
            *,
            '{{ kind }}' as kind
        from {{ messages }}
        where
            {{ message_size('body') }} <= {{ most_message_bytes() }}
            and {{ of_changed_documents() }}
    {% endfor %}

),

updated as (

    select
        *,
        {{ payload_hash('body') }} as payload_hash
    from {{ ref('order_updated') }}
    where
        {{ message_size('body') }} <= {{ most_message_bytes() }}
        and {{ of_changed_documents() }}
        and entity_id in (select document_sid from changed_sales)

),

latest as (

    {{ latest_events(ref('int_documents_changed')) }}

),

-- What was said last about each sale that changed, whether it is sent yet or not.
said as (

    {{ last_of_sales('latest', 'changed_sales') }}

),

-- The text of a message that was restored from the ledger is lost, and with it what to cancel.
cancelled as (

    select
        said.*,
        changed_sales.modified_at as occurred_at,
        {{ cancelled_message('said.last_message', 'changed_sales.cancel_reason') }} as body
    from said
    inner join changed_sales on said.sale_sid = changed_sales.document_sid
    where
        changed_sales.cancel_reason is not null
        and said.last_event != 'Order Cancelled'
        and said.last_message != ''
        and said.last_user_id not in (
            select trim(user_id) as suppressed_id from {{ ref('suppressed_users') }}
        )

),

-- A sale and a refund happen once: what has an event already is not due. A sale that has one,
-- and that the export has changed, is updated or cancelled. The version hashes the message
-- before it too, as that of customers does.
due as (

    select
        completed_and_refunded.* except (buyer_sid, row_key, kind),
        '' as version,
        toUInt32(0) as generation
    from completed_and_refunded
    left anti join latest
        on completed_and_refunded.entity_id = latest.entity_id
        and completed_and_refunded.event = latest.event
    where (completed_and_refunded.entity_id, completed_and_refunded.kind) not in (
        select
            document_sid,
            kind
        from changes
        where basis_state = 'withheld'
    )
    union all
    select
        updated.* except (buyer_sid, row_key, payload_hash),
        {{ chained_version('updated.payload_hash', 'said.last_message_id') }} as version,
        said.last_generation as generation
    from updated
    inner join said on updated.entity_id = said.sale_sid
    where
        updated.payload_hash != said.last_payload_hash
        -- Of one that was restored nobody knows whose it was.
        or said.last_message != '' and updated.user_id != said.last_user_id
    union all
    select
        'track' as call,
        'Order Cancelled' as event,
        last_user_id as user_id,
        last_anonymous_id as anonymous_id,
        'order' as entity,
        sale_sid as entity_id,
        occurred_at,
        body,
        {{ chained_version(payload_hash('body'), 'last_message_id') }} as version,
        last_generation as generation
    from cancelled

)

{{ enqueued(
    'track', 'due', this if is_incremental() else none,
    changed_only('entity_id', ref('int_documents_changed'), 'row_key')
) }}
