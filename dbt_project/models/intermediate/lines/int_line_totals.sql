{{ config(order_by='document_sid') }}

-- Per document: how many lines each side has, and what they are worth.
with lines as (

    select
        *,
        ifNull(discounted_price, price) * measured_quantity as amount,
        -- Such a line would be missing from the order without a trace.
        if(
            direction in ('sale', 'return'),
            arrayFilter(
                name -> name != '',
                [if(quantity is null, 'QTY', ''), if(price is null, 'PRICE', '')]
            ), []
        ) as missing_numbers,
        -- With the side of the receipt, since what only the other side says holds up neither.
        arrayMap(
            name -> concat(direction, '.', name),
            if(
                left_out_reason = 'zero_quantity',
                [], arrayConcat(unreadable_numbers, missing_numbers)
            )
        ) as unreadable_side_numbers,
        arrayMap(name -> concat(direction, '.', name), rounded_numbers) as rounded_side_numbers
    from {{ ref('int_lines_directed') }}
    where left_out_reason not in ('sid_malformed', 'kit_component')

),

totals as (

    select
        document_sid,
        countIf(ifNull(measured_quantity, 1) != 0) as line_count,
        countIf(direction = 'sale' and ifNull(measured_quantity, 1) != 0) as sale_lines,
        countIf(direction = 'return' and ifNull(measured_quantity, 1) != 0) as return_lines,
        countIf(item_type = 3 and ifNull(measured_quantity, 1) != 0) as order_lines,
        max(has_sign_conflict) as has_sign_conflict,
        arraySort(groupUniqArrayArray(unreadable_side_numbers)) as unreadable_line_numbers,
        arraySort(groupUniqArrayArray(rounded_side_numbers)) as rounded_line_numbers,
        arraySort(groupUniqArrayArray(unreadable_flags)) as unreadable_line_flags,
        sumIf(price * measured_quantity, direction = 'sale') as sold_amount_before_discount,
        sumIf(amount, direction = 'sale') as sold_amount,
        sumIf(amount, direction = 'sale' and kit_flag = 10) as sold_gift_card_amount,
        sumIf(measured_quantity, direction = 'sale') as sold_line_quantity,
        sumIf(amount, direction = 'return') as returned_amount,
        sumIf(amount, direction = 'return' and kit_flag = 10) as returned_gift_card_amount,
        sumIf(ifNull(unit_tax, 0) * measured_quantity, direction = 'return') as returned_tax,
        sumIf(measured_quantity, direction = 'return') as returned_line_quantity,
        countIf(direction = 'unknown') as undirected_lines,
        countIf(
            direction in ('sale', 'return') and measured_quantity != 0
            and alu is null and item_sid is null
        ) as unidentified_lines,
        countIf(direction in ('sale', 'return') and had_card_number = 1) as card_number_lines,
        groupUniqArrayIf(returned_sale_sid, direction = 'return') as returned_sale_sids,
        arraySort(groupUniqArrayArray(malformed_references)) as malformed_line_references
    from lines
    group by document_sid

)

select * from totals
