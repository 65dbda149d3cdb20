{{ config(order_by='row_key') }}

-- Documents with what their header says about the sides they have, sale and return. Quantities
-- count before flags, and these before the kind of receipt. What is unreadable is claimed: the
-- order is held then, and not passed over.
with documents as (

    select * from {{ ref('int_documents_located') }}

),

sided as (

    select
        *,
        multiIf(
            sold_quantity is not null, sold_quantity > 0,
            has_sale is not null, has_sale = 1,
            hasAny(arrayConcat(unreadable_numbers, unreadable_flags), ['SOLD_QTY', 'HAS_SALE']), 1,
            ifNull(receipt_type = 0 and ifNull(has_return, 0) = 0 and sale_total != 0, 0)
        ) as claims_sale,
        multiIf(
            ifNull(returned_quantity, 0) != 0 or ifNull(sold_quantity, 0) < 0, 1,
            returned_quantity is not null, 0,
            has_return is not null, has_return = 1,
            hasAny(arrayConcat(unreadable_numbers, unreadable_flags), ['RETURN_QTY', 'HAS_RETURN']),
            1,
            ifNull(receipt_type = 1 and not claims_sale, 0)
        ) as claims_return
    from documents

)

select * from sided
