-- Of what the last build worked on: days, currencies and kinds of line whose quantities or
-- amounts are not those of the export's text. Each line is compared with the exported version
-- that it agrees with, or else with any. Lines that are in no order are the business of
-- rows_are_accounted_for.
with exported_documents as (

    {{ exported_rows_of_this_build('document') }}

),

exported_lines as (

    {{ exported_rows_of_this_build('document_item') }}

),

built_lines as (

    select * from {{ ref('order_lines') }}
    where {{ of_changed_documents() }}

),

documents as (

    select
        trim(SID) as document_sid,
        min({{ exported_day() }}) as day,
        min(upper(trim(CURRENCY_NAME))) as currency_name
    from exported_documents
    group by document_sid

),

items as (

    select
        trim(SID) as line_sid,
        groupArray((
            trim(DOC_SID),
            abs({{ exported_number('QTY') }}),
            toDecimal128(abs({{ exported_number('QTY') }} * {{ exported_number('PRICE') }}), 6),
            multiIf(
                toInt64OrZero(trim(ITEM_TYPE)) = 1, 'sale',
                toInt64OrZero(trim(ITEM_TYPE)) = 2, 'return',
                ''
            )
        )) as versions
    from exported_lines
    group by line_sid

),

whole_coin_currencies as (

    select currency_code
    from {{ ref('currencies') }}
    where minor_units = 0

),

order_lines as (

    select
        line_sid,
        document_sid,
        kind,
        count() as copies,
        sum(coalesce(weighed_quantity, toDecimal128(quantity, 6))) as line_quantity,
        sum(price * quantity) as line_amount,
        -- The price of a weighed line is rounded to coins.
        multiIf(
            any(weighed_quantity) is null, 0,
            any(currency) in (select currency_code from whole_coin_currencies), 0.5,
            0.005
        ) as slack
    from built_lines
    group by line_sid, document_sid, kind

),

compared as (

    select
        order_lines.line_sid as line_sid,
        order_lines.kind as kind,
        order_lines.line_quantity as line_quantity,
        order_lines.line_amount as line_amount,
        documents.day as day,
        documents.currency_name as currency_name,
        items.versions as versions,
        order_lines.copies = 1 and arrayExists(
            version -> version.1 = order_lines.document_sid
            and version.2 = line_quantity
            and abs(version.3 - line_amount) <= slack
            and version.4 in ('', kind),
            items.versions
        ) as agrees
    from order_lines
    {{ 'left' if works_on_everything() else 'inner' }} join items
        on order_lines.line_sid = items.line_sid
    left join documents on order_lines.document_sid = documents.document_sid

)

select
    day,
    currency_name,
    kind,
    count() as lines,
    countIf(not agrees) as wrong_lines,
    anyIf(line_sid, not agrees) as example,
    sum(line_quantity) as order_quantity,
    sum(if(agrees, line_quantity, tupleElement(versions[1], 2))) as exported_quantity,
    sum(line_amount) as order_amount,
    sum(if(agrees, line_amount, tupleElement(versions[1], 3))) as exported_amount
from compared
group by day, currency_name, kind
having wrong_lines > 0
-- Of a large history too much to be held in memory.
settings join_algorithm = 'full_sorting_merge,hash'
