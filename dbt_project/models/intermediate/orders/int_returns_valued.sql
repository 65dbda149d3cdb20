{{ config(order_by='row_key') }}

-- The return side of each document: amounts from RETURN_* columns, else from its lines.
with returns as (

    select *
    from {{ ref('int_documents_classified') }}
    where is_return and non_event_reason is null

),

-- Positive amounts with null for none, from the header or else from the lines.
stated as (

    select
        *,
        nullIf(abs(return_subtotal), 0) as header_subtotal,
        nullIf(abs(return_subtotal_with_tax), 0) as header_total,
        nullIf(abs(if(is_sale, ifNull(sale_total, 0), 0) - transaction_total), 0)
            as transaction_return,
        coalesce(header_subtotal, header_total) is null as is_from_lines,
        {{ round_to_minor_units('ifNull(returned_tax, 0)', 'minor_units') }} as line_tax,
        if(
            is_from_lines,
            nullIf({{ round_to_minor_units('returned_amount', 'minor_units') }}, 0),
            header_subtotal
        ) as amount,
        if(is_from_lines, line_tax, abs(coalesce(return_tax, line_tax))) as tax,
        -- The fee belongs to the whole document; what the sale holds the return does not.
        if(total_fee > 0 and sale_fee is null, total_fee, null) as fee_left,
        arrayFilter(stated -> stated is not null, [
            header_total, transaction_return, transaction_return - fee_left
        ]) as stated_totals
    from returns

),

-- USE_VAT, else the document's own sums, else the subsidiary says whether tax is included.
judged as (

    select
        *,
        has(stated_totals, amount) as fits_tax_included,
        has(stated_totals, amount + tax) as fits_tax_added,
        coalesce(
            uses_vat,
            if(fits_tax_included != fits_tax_added, fits_tax_included, null),
            subsidiary_uses_vat
        ) as prices_include_tax,
        tax = 0 or amount is null or prices_include_tax is not null as is_tax_known,
        header_total is null and tax != 0 as depends_on_tax,
        {{ numbers_of_return() }} as used_numbers
    from stated

),

valued as (

    select
        *,
        coalesce(
            header_total,
            multiIf(
                not is_tax_known, coalesce(transaction_return, amount),
                ifNull(prices_include_tax, 0) = 1, amount,
                amount + tax
            )
        ) as total_without_fee,
        if(total_without_fee + fee_left = transaction_return, fee_left, null) as fee,
        total_without_fee + ifNull(fee, 0) as total,
        if(is_tax_known, tax, null) as known_tax,
        -- Without known tax all of it is taken off the customer's revenue.
        ifNull(known_tax, 0) + if(
            {{ var('exclude_gift_cards') }},
            {{ round_to_minor_units('ifNull(returned_gift_card_amount, 0)', 'minor_units') }},
            toDecimal128(0, 6)
        ) as not_revenue
    from judged

)

select
    row_key,
    document_sid,
    source_sid,
    'return' as kind,
    coalesce(
        referenced_sale_sid,
        if(length(returned_sale_sids) = 1, returned_sale_sids[1], null),
        document_sid
    ) as order_id,
    total,
    total_without_fee - known_tax as subtotal,
    not_revenue - total as revenue,
    known_tax as tax,
    toDecimal128(0, 6) as shipping,
    fee,
    toDecimal128(0, 6) as discount,
    if(undirected_lines > 0 or line_count = 0, returned_quantity, null) as header_quantity,
    coalesce(
        failure_code,
        multiIf(
            depends_on_tax and has(unreadable_flags, 'USE_VAT'), 'flag_unreadable',
            {{ any_of('unreadable', 'used_numbers') }}, 'number_unreadable',
            total is null, 'refund_amount_unknown',
            return_subtotal * return_tax < 0 or total < 0 or tax < 0, 'sign_conflict',
            null
        )
    ) as failure_code,
    arrayConcat(document_warnings, arrayFilter(code -> code != '', [
        if(not is_tax_known, 'refund_tax_unknown', ''),
        if({{ any_of('rounded', 'used_numbers') }}, 'number_rounded', ''),
        if(total_fee != 0 and sale_fee is null and fee is null, 'fee_unexplained', ''),
        if(
            return_lines > 0 and not is_from_lines and not arrayExists(
                stated -> ifNull(
                    abs(returned_amount - stated) <= {{ rounding_tolerance('minor_units') }}, 0
                ),
                if(header_subtotal is null, [header_total, header_total - tax], [header_subtotal])
            ), 'lines_differ_from_header', ''
        )
    ])) as warnings
from valued
