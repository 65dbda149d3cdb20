{#- With a choice ClickHouse would hold all documents in memory for the join. -#}
{{ config(order_by='document_sid', query_settings={'join_algorithm': 'full_sorting_merge'}) }}

-- Lines of known documents with the side of the receipt that they belong to, and why they are
-- in no order.
with items as (

    select * from {{ ref('int_document_items_current') }}

),

documents as (

    select
        row_key as known_document_sid,
        currency,
        minor_units,
        claims_sale and not claims_return as is_sale_only,
        claims_return and not claims_sale as is_return_only,
        not claims_sale and not claims_return as is_silent,
        has_sale,
        has_return
    from {{ ref('int_documents_sided') }}
    where document_sid is not null

),

-- Where some quantities are negative, the export writes returns so.
signed_documents as (

    select document_sid
    from items
    where quantity < 0

),

split as (

    select * from {{ ref('int_lines_split') }}

),

directed as (

    select
        items.* except (document_sid),
        documents.known_document_sid as document_sid,
        multiIf(
            items.item_type = 1, 'sale',
            items.item_type = 2, 'return',
            items.item_type is not null, 'other',
            items.quantity < 0, 'return',
            documents.is_return_only, 'return',
            documents.is_sale_only, 'sale',
            documents.is_silent and documents.has_return = 1 and ifNull(documents.has_sale, 0) = 0,
            'return',
            documents.is_silent and documents.has_sale = 1 and ifNull(documents.has_return, 0) = 0,
            'sale',
            ifNull(items.document_sid, '') in (select document_sid from signed_documents), 'sale',
            (ifNull(items.document_sid, ''), items.row_key) in (
                select (document_sid, row_key) from split
                where direction = 'return'
            ), 'return',
            ifNull(items.document_sid, '') in (select document_sid from split), 'sale',
            'unknown'
        ) as direction,
        ifNull(
            items.quantity < 0 and ifNull(items.item_type = 1, documents.is_sale_only), 0
        ) or ifNull(direction = 'sale' and items.price < 0, 0) as has_sign_conflict,
        abs(items.quantity) as measured_quantity,
        documents.currency as currency,
        documents.minor_units as minor_units
    from items
    inner join documents on ifNull(items.document_sid, '') = documents.known_document_sid

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
        ) as event_price,
        multiIf(
            line_sid is null, 'sid_malformed',
            ifNull(kit_flag, 0) = 5, 'kit_component',
            direction = 'other', 'neither_sale_nor_return',
            direction = 'unknown', 'direction_unknown',
            measured_quantity = 0, 'zero_quantity',
            {{ "ifNull(kit_flag, 0) = 10, 'gift_card'," if var('exclude_gift_cards') }}
            ''
        ) as left_out_reason
    from directed

)

select * from measured
