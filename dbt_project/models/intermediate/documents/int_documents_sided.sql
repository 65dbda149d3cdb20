{{ config(order_by='row_key') }}

-- Documents with what their header says about the sides they have, sale and return. Quantities
-- count before flags, and these before the kind of receipt; the total of a special order or of a
-- layaway (ORDER_TYPE 1, 2) is no sale by its kind, but a payment. What is unreadable is claimed:
-- the order is held then, and not passed over.
with documents as (

    select
        *,
        arrayConcat(unreadable_numbers, unreadable_flags) as unreadable_fields,
        ifNull(sale_tax, 0) as tax,
        sale_total - sale_subtotal - ifNull(shipping, 0) - total_fee as sum_without_fee
    from {{ ref('int_documents_located') }}

),

sided as (

    select
        *,
        multiIf(
            sold_quantity is not null, sold_quantity > 0,
            has_sale is not null, has_sale = 1,
            hasAny(unreadable_fields, ['SOLD_QTY', 'HAS_SALE']), 1,
            ifNull(receipt_type = 0, has(unreadable_fields, 'RECEIPT_TYPE'))
            and ifNull(has_return, 0) = 0
            and ifNull(sale_total != 0, has(unreadable_fields, 'SALE_TOTAL_AMT'))
            and ifNull(order_type, 0) not in (1, 2)
        ) as claims_sale,
        multiIf(
            ifNull(returned_quantity, 0) != 0 or ifNull(sold_quantity, 0) < 0, 1,
            returned_quantity is not null, 0,
            has_return is not null, has_return = 1,
            hasAny(unreadable_fields, ['RETURN_QTY', 'HAS_RETURN']), 1,
            ifNull(receipt_type = 1, has(unreadable_fields, 'RECEIPT_TYPE')) and not claims_sale
        ) as claims_return,
        ifNull(sold_quantity, 0) = 0 and ifNull(returned_quantity, 0) = 0
        and ifNull(has_sale, 0) = 0 and ifNull(has_return, 0) = 0
        and not hasAny(unreadable_fields, ['SOLD_QTY', 'HAS_SALE', 'RETURN_QTY', 'HAS_RETURN'])
            as is_told_by_kind,
        -- A fee as large as the tax could be tax that is added; only USE_VAT tells.
        if(
            total_fee > 0 and (
                sum_without_fee = tax
                or sum_without_fee = 0 and (tax != total_fee or ifNull(uses_vat, 0) = 1)
            ), total_fee, null
        ) as sale_fee
    from documents

)

select * except (unreadable_fields, tax, sum_without_fee) from sided
