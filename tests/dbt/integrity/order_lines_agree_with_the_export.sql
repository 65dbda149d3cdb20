-- Of what the last build worked on: days, currencies and kinds of line whose quantities or
-- amounts are not those of the export's text. Each line is compared with the exported version
-- that it agrees with, or else with any. Lines that are in no order are the business of
-- rows_are_accounted_for, and those of orders that are held go out only after another build.
with exported_documents as (

    {{ exported_rows_of_this_build('document', [
        'SID', 'CURRENCY_NAME', 'INVC_POST_DATE', 'CREATED_DATETIME', 'HAS_SALE', 'HAS_RETURN',
        'SOLD_QTY', 'RETURN_QTY', 'RECEIPT_TYPE', 'ORDER_TYPE', 'SALE_TOTAL_AMT',
    ]) }}

),

exported_lines as (

    {{ exported_rows_of_this_build('document_item', [
        'SID', 'DOC_SID', 'ITEM_TYPE', 'QTY', 'PRICE',
    ]) }}

),

built_lines as (

    select * from {{ ref('order_lines') }}
    where {{ of_changed_documents() }}

),

sent_documents as (

    select document_sid as sent_sid from {{ ref('orders') }}
    where {{ of_changed_documents() }} and failure_code is null

),

sided_documents as (

    select
        SID as document_sid,
        {{ exported_day() }} as day,
        upper(CURRENCY_NAME) as currency_name,
        {{ exported_header_side() }}
    from exported_documents

),

-- The side of lines that say nothing themselves; empty when it is not clear from all versions.
documents as (

    select
        document_sid,
        min(day) as day,
        min(currency_name) as currency_name,
        if(uniqExact(header_side) = 1, any(header_side), '') as header_side
    from sided_documents
    group by document_sid

),

items as (

    select
        SID as line_sid,
        groupArray((
            DOC_SID,
            abs({{ exported_number('QTY') }}),
            toDecimal128(abs({{ exported_number('QTY') }} * {{ exported_number('PRICE') }}), 6),
            {{ exported_line_side() }}
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
            and if(version.4 = '', documents.header_side, version.4) in ('', order_lines.kind),
            items.versions
        ) as agrees
    from order_lines
    {{ 'left' if works_on_everything() else 'inner' }} join items
        on order_lines.line_sid = items.line_sid
    left join documents on order_lines.document_sid = documents.document_sid
    -- A document of which nothing is sent has no currency to round to, or no side for its lines.
    where empty(versions) or tupleElement(versions[1], 1) in (select sent_sid from sent_documents)

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
