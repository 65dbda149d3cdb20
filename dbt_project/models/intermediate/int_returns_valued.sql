-- The return side of each document: amounts from RETURN_* columns, else from its lines.
with returns as (

    select *
    from {{ ref('int_documents_classified') }}
    where is_return and non_event_reason is null

),

amounts as (

    select
        *,
        nullIf(abs(coalesce(
            nullIf(return_subtotal_with_tax, 0),
            multiIf(
                prices_include_tax = 1, return_subtotal,
                prices_include_tax = 0 or ifNull(return_tax, 0) = 0,
                return_subtotal + ifNull(return_tax, 0),
                null
            )
        )), 0) as exported_total,
        {{ round_to_minor_units('returned_tax', 'minor_units') }} as line_tax,
        nullIf(multiIf(
            prices_include_tax = 1, {{ round_to_minor_units('returned_amount', 'minor_units') }},
            prices_include_tax = 0 or returned_tax = 0,
            {{ round_to_minor_units('(returned_amount + returned_tax)', 'minor_units') }},
            null
        ), 0) as line_total
    from returns

),

valued as (

    select
        *,
        coalesce(exported_total, line_total) as total,
        if(exported_total is null, line_tax, abs(coalesce(return_tax, line_tax))) as tax,
        coalesce(
            referenced_sale_sid,
            if(length(returned_sale_sids) = 1, returned_sale_sids[1], null),
            document_sid
        ) as order_id
    from amounts

)

select
    row_key,
    document_sid,
    source_sid,
    'return' as kind,
    order_id,
    total,
    total - tax as subtotal,
    -total + tax as revenue,
    tax,
    toDecimal128(0, 6) as shipping,
    toDecimal128(0, 6) as discount,
    coalesce(failure_code, if(total is null, 'refund_amount_unknown', null)) as failure_code
from valued
