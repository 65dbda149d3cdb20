-- Of what the last build worked on: days, currencies and kinds of order whose sums are not those
-- of the export's text. Each order is compared with the exported version that it agrees with, or
-- else with any. Documents without an order are the business of rows_are_accounted_for.
with exported_documents as (

    {{ exported_rows_of_this_build('document', [
        'SID', 'CURRENCY_NAME', 'INVC_POST_DATE', 'CREATED_DATETIME', 'HAS_SALE', 'HAS_RETURN',
        'SOLD_QTY', 'RETURN_QTY', 'RECEIPT_TYPE', 'SALE_TOTAL_AMT', 'SALE_TOTAL_TAX_AMT',
        'SHIPPING_AMT', 'TRANSACTION_TOTAL_AMT', 'RETURN_SUBTOTAL', 'RETURN_SUBTOTAL_WITH_TAX',
        'RETURN_TOTAL_TAX_AMT', 'TOTAL_FEE_AMT', 'USE_VAT', 'ORDER_TYPE',
    ]) }}

),

exported_lines as (

    {{ exported_rows_of_this_build('document_item', [
        'SID', 'DOC_SID', 'ITEM_TYPE', 'KIT_FLAG', 'QTY', 'PRICE', 'DIP_PRICE', 'TAX_AMT',
    ]) }}

),

built_orders as (

    select * from {{ ref('orders') }}
    where {{ of_changed_documents() }}

),

moved_lines as (

    select distinct document_sid from {{ ref('int_lines_moved') }}

),

lines as (

    select
        DOC_SID as sid,
        SID as line_sid,
        max(_loaded_at) as came_last,
        groupUniqArray((
            {{ exported_line_side() }},
            abs({{ exported_number('QTY') }})
            * {{ exported_number("if(DIP_PRICE = '', PRICE, DIP_PRICE)") }},
            abs({{ exported_number('QTY') }}) * {{ exported_number('TAX_AMT') }},
            {{ exported_number('QTY') }} < 0
        )) as versions
    from exported_lines
    where {{ clean_sid('SID') }} is not null and {{ exported_number('KIT_FLAG') }} != 5
    group by sid, line_sid

),

-- (side, amount, tax, whether negative) of the lines of a document. Which of them its newest
-- version has is clear when all came together and say the same each time.
line_sums as (

    select
        sid,
        groupArray(versions[1]) as summands,
        arrayExists(summand -> summand.4, summands) as has_signs,
        max(length(versions)) = 1 and min(came_last) = max(came_last) as is_one_version
    from lines
    where sid not in (select document_sid from moved_lines)
    group by sid

),

documents as (

    select
        documents.SID as sid,
        {{ exported_day() }} as day,
        upper(CURRENCY_NAME) as currency_name,
        {{ exported_number('SALE_TOTAL_AMT') }} as sale_total,
        {{ exported_number('SALE_TOTAL_TAX_AMT') }} as sale_tax,
        {{ exported_number('SHIPPING_AMT') }} as shipping,
        {{ exported_number('TOTAL_FEE_AMT') }} as fee,
        abs({{ exported_number('RETURN_SUBTOTAL') }}) as header_amount,
        abs({{ exported_number('RETURN_SUBTOTAL_WITH_TAX') }}) as header_total,
        {{ exported_number('TRANSACTION_TOTAL_AMT') }} as paid,
        header_amount = 0 and header_total = 0 as is_from_lines,
        is_from_lines or RETURN_TOTAL_TAX_AMT = '' as is_tax_from_lines,
        {{ exported_header_side() }},
        arrayMap(
            line -> (
                multiIf(
                    line.1 != '', line.1, header_side != '', header_side, has_signs, 'sale', ''
                ),
                line.2, line.3
            ),
            line_sums.summands
        ) as sided,
        arrayFilter(line -> line.1 = 'return', sided) as returned,
        if(
            is_from_lines,
            toDecimal128(arraySum(line -> line.2, returned), 6), header_amount
        ) as amount,
        if(
            is_tax_from_lines,
            toDecimal128(arraySum(line -> line.3, returned), 6),
            abs({{ exported_number('RETURN_TOTAL_TAX_AMT') }})
        ) as tax,
        lower(left(USE_VAT, 1)) as vat,
        is_tax_from_lines and (
            not line_sums.is_one_version or arrayExists(line -> line.1 = '', sided)
        ) as is_unclear
    from exported_documents as documents
    left join line_sums on documents.SID = line_sums.sid

),

-- (total, tax, shipping) of a sale. (total without fee, tax, whether each is from lines) of a
-- return, by what the export says about tax; what is from lines is rounded, so it may be a coin
-- off. Either may hold the fee of the document.
candidates as (

    select
        sid,
        min(day) as day,
        min(currency_name) as currency_name,
        max(is_unclear) or uniqExact(header_side) > 1 and max(is_tax_from_lines) as is_unclear,
        groupArray(fee) as fees,
        groupArray((sale_total, sale_tax, shipping)) as sales,
        groupArrayArray(multiIf(
            header_total != 0, [(header_total, tax, is_from_lines, is_tax_from_lines)],
            vat in ('1', 't', 'y'), [(amount, tax, is_from_lines, is_tax_from_lines)],
            vat in ('0', 'f', 'n'), [(amount + tax, tax, is_tax_from_lines, is_tax_from_lines)],
            [
                (amount, tax, is_from_lines, is_tax_from_lines),
                (amount + tax, tax, is_tax_from_lines, is_tax_from_lines),
                -- Of a document without a sale side the whole transaction.
                (abs(sale_total - paid), tax, is_from_lines, is_tax_from_lines),
                (abs(sale_total - paid) - fee, tax, is_from_lines, is_tax_from_lines),
                (abs(paid), tax, is_from_lines, is_tax_from_lines),
                (abs(paid) - fee, tax, is_from_lines, is_tax_from_lines)
            ]
        )) as returns
    from documents
    group by sid

),

whole_coin_currencies as (

    select currency_code
    from {{ ref('currencies') }}
    where minor_units = 0

),

orders as (

    select
        source_sid as sid,
        kind,
        count() as copies,
        if(any(currency) in (select currency_code from whole_coin_currencies), 1, 0.01) as coin,
        sum(total) as total,
        sum(tax) as tax,
        sum(shipping) as shipping,
        sum(revenue) as revenue,
        sum(ifNull(fee, 0)) as held_fee
    from built_orders
    where failure_code is null
    group by sid, kind

),

compared as (

    select
        orders.*,
        candidates.* except (sid),
        (held_fee = 0 or has(fees, held_fee) and held_fee > 0) and if(
            orders.kind = 'sale',
            has(sales, (total, tax, shipping))
            {%- if not var('exclude_gift_cards') %} and revenue = total - tax - shipping{% endif %},
            is_unclear or arrayExists(
                refund -> abs(refund.1 - (total - held_fee)) <= coin * refund.3
                and abs(refund.2 - ifNull(tax, refund.2)) <= coin * refund.4,
                returns
            )
        ) and copies = 1 as agrees,
        if(kind = 'sale', tupleElement(sales[1], 1), tupleElement(returns[1], 1)) as stated_total,
        if(kind = 'sale', tupleElement(sales[1], 2), tupleElement(returns[1], 2)) as stated_tax
    from orders
    {{ 'left' if works_on_everything() else 'inner' }} join candidates
        on orders.sid = candidates.sid

)

select
    day,
    currency_name,
    kind,
    count() as compared_orders,
    countIf(not agrees) as wrong_orders,
    anyIf(sid, not agrees) as example,
    sum(total) as order_total,
    sum(if(agrees, total, stated_total)) as exported_total,
    sum(tax) as order_tax,
    sum(if(agrees, tax, stated_tax)) as exported_tax
from compared
group by day, currency_name, kind
having wrong_orders > 0
-- Of a large history too much to be held in memory.
settings join_algorithm = 'full_sorting_merge,hash'
