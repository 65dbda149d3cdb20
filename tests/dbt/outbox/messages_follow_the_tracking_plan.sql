-- Fields in messages that are not in the tracking plan or have another JSON type, and planned
-- fields that are always there and are missing from a message. Of each event the last 10,000
-- messages that wait: planned_fields_are_built proves the same of all for names and types.
with waiting as (

    select
        event,
        message,
        enqueued_at
    from {{ ref('segment_identify_outbox') }}
    union all
    select
        event,
        message,
        enqueued_at
    from {{ ref('segment_track_outbox') }}

),

messages as (

    select *
    from waiting
    order by enqueued_at desc
    limit 10000 by event

),

-- The message, and each object in its arrays, with the path that it stands at.
objects as (

    select
        event,
        arrayJoin(arrayConcat(
            [('', message)],
            arrayMap(
                product -> ('properties.products[].', product),
                JSONExtractArrayRaw(message, 'properties', 'products')
            ),
            arrayMap(
                id -> ('context.externalIds[].', id),
                JSONExtractArrayRaw(message, 'context', 'externalIds')
            )
        )) as located
    from messages

),

counted as (

    select
        event,
        located.1 as path,
        count() as objects,
        sumMap(mapApply(
            (name, type) -> (concat(name, '\t', type), 1),
            JSONAllPathsWithTypes(cast(located.2, 'JSON'))
        )) as leaves
    from objects
    group by event, path

),

sent as (

    select
        event,
        path,
        replaceRegexpOne(
            concat(path, splitByChar('\t', leaf.1)[1]),
            '(?s)(\\.categoryPreferences\\.).*', '\\1*'
        ) as field,
        any(objects) as objects,
        sum(leaf.2) as fields,
        groupUniqArray(multiIf(
            leaf.1 like '%\tString', 'string',
            leaf.1 like '%\tBool', 'boolean',
            leaf.1 like '%\tInt64', 'integer',
            leaf.1 like '%\tFloat64', 'number',
            leaf.1 like '%\tArray(%', 'array',
            leaf.1
        )) as types
    from counted
    array join leaves as leaf
    group by event, path, field

),

planned as (

    select
        *,
        extract(field, '^.*\\[\\]\\.') as path
    from {{ ref('tracking_plan_fields') }}
    where type != 'object'

),

compared as (

    select
        sent.event != '' as is_sent,
        if(is_sent, sent.event, planned.event) as message_event,
        if(is_sent, sent.path, planned.path) as message_path,
        if(is_sent, sent.field, planned.field) as message_field,
        sent.types as sent_types,
        planned.type as planned_type,
        planned.required as required,
        sent.fields as fields,
        max(sent.objects) over (partition by message_event, message_path) as objects
    from sent
    full outer join planned on sent.event = planned.event and sent.field = planned.field

)

select *
from compared
where
    arrayExists(
        type -> type != planned_type and not (type = 'integer' and planned_type = 'number'),
        sent_types
    )
    or (required and planned_type != 'array' and fields != objects)
settings input_format_try_infer_datetimes = 0, input_format_try_infer_dates = 0
