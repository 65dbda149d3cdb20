{{ config(order_by='row_key') }}

-- The sale side of each document, with tax taken out of the subtotal where it is included.
with sales as (

    select *
    from {{ ref('int_documents_classified') }}
    where is_sale and non_event_reason is null

),

amounts as (

    select
        *,
        ifNull(sale_tax, 0) as tax,
        ifNull(shipping, 0) as shipping_charge,
        ifNull(discount, 0) as document_discount,
        if(
            {{ var('exclude_gift_cards') }},
            {{ round_to_minor_units('ifNull(sold_gift_card_amount, 0)', 'minor_units') }},
            toDecimal128(0, 6)
        ) as not_revenue,
        sale_total - shipping_charge - ifNull(sale_fee, 0) as goods_with_tax,
        sale_subtotal + tax = goods_with_tax as fits_tax_added,
        sale_subtotal = goods_with_tax as fits_tax_included,
        -- Whether a line's price holds the document's discount is for the exporter to say. Without
        -- a subtotal it may hold the tax, or not.
        arrayExists(
            amount -> arrayExists(
                stated -> ifNull(
                    abs(amount - stated) <= {{ rounding_tolerance('minor_units') }}, 0
                ),
                if(
                    sale_subtotal is null, [goods_with_tax, goods_with_tax - tax], [sale_subtotal]
                )
            ),
            [
                sold_amount, sold_amount_before_discount,
                sold_amount_before_discount - document_discount
            ]
        ) as agrees_with_lines
    from sales

),

valued as (

    select
        *,
        multiIf(
            fits_tax_added, sale_subtotal,
            fits_tax_included, sale_subtotal - tax,
            null
        ) as subtotal,
        sale_total - tax - shipping_charge - not_revenue as revenue
    from amounts

)

select
    row_key,
    document_sid,
    source_sid,
    'sale' as kind,
    document_sid as order_id,
    sale_total as total,
    subtotal,
    revenue,
    tax,
    shipping_charge as shipping,
    sale_fee as fee,
    greatest(document_discount, 0) as discount,
    if(undirected_lines > 0 or line_count = 0, sold_quantity, null) as header_quantity,
    coalesce(
        failure_code,
        multiIf(
            {{ any_of('unreadable', numbers_of_sale()) }}, 'number_unreadable',
            sale_total is null, 'sale_amount_unknown',
            sale_total < 0 or tax < 0 or shipping_charge < 0, 'sign_conflict',
            null
        )
    ) as failure_code,
    arrayConcat(document_warnings, arrayFilter(code -> code != '', [
        if(subtotal is null, 'sums_do_not_fit', ''),
        if({{ any_of('rounded', numbers_of_sale()) }}, 'number_rounded', ''),
        if(
            fits_tax_added != fits_tax_included and uses_vat != fits_tax_included,
            'vat_flag_contradicts_sums', ''
        ),
        -- Of an exchange it is said once, of the return.
        if(not is_return and total_fee != 0 and fee is null, 'fee_unexplained', ''),
        if(sale_lines > 0 and not agrees_with_lines, 'lines_differ_from_header', '')
    ])) as warnings
from valued
