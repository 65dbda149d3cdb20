-- Lines of known documents with the side of the receipt that they belong to.
with items as (

    select * from {{ ref('stg_retail_pro__document_items') }}

),

documents as (

    select
        document_sid as known_document_sid,
        currency,
        minor_units,
        ifNull(sold_quantity, 0) != 0 or (sold_quantity is null and has_sale = 1) as claims_sale,
        ifNull(returned_quantity, 0) != 0
        or (returned_quantity is null and has_return = 1) as claims_return
    from {{ ref('int_documents_located') }}
    where document_sid is not null

),

directed as (

    select
        items.*,
        multiIf(
            items.item_type = 1, 'sale',
            items.item_type = 2, 'return',
            items.item_type is not null, 'other',
            items.quantity < 0, 'return',
            documents.claims_return and not documents.claims_sale, 'return',
            documents.claims_sale and not documents.claims_return, 'sale',
            'unknown'
        ) as direction,
        items.item_type = 1 and items.quantity < 0 as has_sign_conflict,
        abs(items.quantity) as measured_quantity,
        documents.currency as currency,
        documents.minor_units as minor_units
    from items
    inner join documents on items.document_sid = documents.known_document_sid
    where items.line_sid is not null and ifNull(items.kit_flag, 0) != 5

),

-- Most destinations refuse a quantity of 0.750, so a weighed line counts as one
-- piece at the price of the whole line.
measured as (

    select
        *,
        measured_quantity != toInt64(measured_quantity) as is_weighed,
        if(is_weighed, 1, toInt64(measured_quantity)) as event_quantity,
        if(
            is_weighed,
            {{ round_to_minor_units('price * measured_quantity', 'minor_units') }},
            price
        ) as event_price
    from directed

)

select * from measured
