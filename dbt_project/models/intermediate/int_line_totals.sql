-- Per document: how many lines each side has, and what the returned ones are worth.
with lines as (

    select
        *,
        -- Such a line would be missing from the order without a trace.
        if(
            direction in ('sale', 'return'),
            arrayFilter(
                name -> name != '',
                [if(quantity is null, 'QTY', ''), if(price is null, 'PRICE', '')]
            ), []
        ) as missing_numbers
    from {{ ref('int_lines_directed') }}

),

totals as (

    select
        document_sid,
        count() as line_count,
        countIf(direction = 'sale' and measured_quantity != 0) as sale_lines,
        countIf(direction = 'return' and measured_quantity != 0) as return_lines,
        max(has_sign_conflict) as has_sign_conflict,
        arraySort(groupUniqArrayArray(
            arrayConcat(unreadable_numbers, missing_numbers)
        )) as unreadable_line_numbers,
        sumIf(ifNull(discounted_price, price) * measured_quantity, direction = 'return')
            as returned_amount,
        sumIf(ifNull(unit_tax, 0) * measured_quantity, direction = 'return') as returned_tax,
        groupUniqArrayIf(returned_sale_sid, direction = 'return') as returned_sale_sids
    from lines
    group by document_sid

)

select * from totals
