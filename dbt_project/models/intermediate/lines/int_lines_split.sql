{{ config(order_by='document_sid') }}

-- Lines of exchanges that name no side, neither by ITEM_TYPE nor by a sign, with the side that
-- they must be of: where exactly one way to divide the lines fits quantity and amount of both.
with exchanges as (

    select
        row_key as exchange_sid,
        assumeNotNull(sold_quantity) as sold_pieces,
        assumeNotNull(abs(returned_quantity)) as returned_pieces,
        assumeNotNull(sale_subtotal) as sold_amount,
        assumeNotNull(abs(return_subtotal)) as returned_amount,
        ifNull(discount, 0) as document_discount,
        {{ rounding_tolerance('minor_units') }} as tolerance
    from {{ ref('int_documents_sided') }}
    where
        document_sid is not null
        and claims_sale and claims_return
        and sold_quantity > 0 and returned_quantity != 0
        and sale_subtotal is not null and return_subtotal != 0 and return_tax is not null

),

-- Of more lines there are too many ways.
unnamed as (

    select
        ifNull(document_sid, '') as line_document_sid,
        groupArray((
            row_key,
            ifNull(quantity, 0),
            ifNull(quantity * coalesce(discounted_price, price), 0)
        )) as lines,
        range(length(lines)) as bits
    from {{ ref('int_document_items_current') }}
    where
        ifNull(document_sid, '') in (select exchange_sid from exchanges)
        and line_sid is not null
        and ifNull(kit_flag, 0) != 5
    group by line_document_sid
    having
        count() between 2 and 8
        and countIf(
            item_type is not null or price is null or ifNull(quantity, 0) <= 0
        ) = 0

),

-- A way is a number whose bits are the lines that came back.
divided as (

    select
        unnamed.*,
        arrayFilter(
            way -> arraySum(
                (line, bit) -> if(bitTest(way, bit), line.2, 0), lines, bits
            ) = exchanges.returned_pieces
            and arraySum(
                (line, bit) -> if(bitTest(way, bit), 0, line.2), lines, bits
            ) = exchanges.sold_pieces
            and abs(
                arraySum((line, bit) -> if(bitTest(way, bit), line.3, 0), lines, bits)
                - exchanges.returned_amount
            ) <= exchanges.tolerance
            and arrayExists(
                discount -> abs(
                    arraySum((line, bit) -> if(bitTest(way, bit), 0, line.3), lines, bits)
                    - discount - exchanges.sold_amount
                ) <= exchanges.tolerance, [0, exchanges.document_discount]
            ),
            range(1, bitShiftLeft(toUInt64(1), length(lines)) - 1)
        ) as ways
    from unnamed
    inner join exchanges on unnamed.line_document_sid = exchanges.exchange_sid

)

select
    line_document_sid as document_sid,
    line.1 as row_key,
    if(bitTest(ways[1], bit), 'return', 'sale') as direction
from divided
array join
    lines as line,
    bits as bit
where length(ways) = 1
