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
        {{ rounding_tolerance('minor_units') }} as tolerance,
        abs(sale_subtotal + shipping_charge + tax - sale_total) <= tolerance as fits_tax_added,
        abs(sale_subtotal + shipping_charge - sale_total) <= tolerance as fits_tax_included
    from sales

),

valued as (

    select
        *,
        multiIf(
            fits_tax_added and fits_tax_included,
            if(prices_include_tax = 1, sale_subtotal - tax, sale_subtotal),
            fits_tax_added, sale_subtotal,
            fits_tax_included, sale_subtotal - tax,
            null
        ) as subtotal,
        sale_total - tax - shipping_charge as revenue
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
    ifNull(discount, 0) as discount,
    coalesce(
        failure_code,
        multiIf(
            sale_total is null, 'sale_amount_unknown',
            sale_total < 0 or tax < 0 or shipping_charge < 0, 'sign_conflict',
            null
        )
    ) as failure_code
from valued
