{{ config(order_by='row_key') }}

-- Documents with the order events they stand for, or why they stand for none.
with documents as (

    select * from {{ ref('int_documents_sided') }}

),

line_totals as (

    select * from {{ ref('int_line_totals') }}

),

counted as (

    select
        documents.*,
        line_totals.* except (document_sid),
        line_totals.order_lines > 0 and line_totals.order_lines = line_totals.line_count
            as has_order_lines_only,
        -- Lines say more than the kind of the receipt.
        has_order_lines_only and documents.is_told_by_kind as is_order,
        line_totals.sale_lines > 0 or documents.claims_sale and not is_order as is_sale,
        line_totals.return_lines > 0 or documents.claims_return and not is_order as is_return,
        match(ifNull(documents.receipt_number, ''), '^([1-9]|[^-].*[1-9])') as has_number
    from documents
    left join line_totals on documents.row_key = line_totals.document_sid

),

classified as (

    select
        *,
        multiIf(
            is_held = 1, 'held',
            ifNull(status, 4) != 4, 'not_posted',
            -- A document gets its number when it is finished.
            not has_number and (
                ifNull(receipt_number, '') = ''
                or startsWith(receipt_number, '-')
                or status is null and match(receipt_number, '^0+$')
            ), 'not_posted',
            receipt_type = 2 or is_order, 'order_or_deposit',
            (ifNull(subsidiary, ''), '') in (
                select (sbs_no, store_code) from {{ ref('excluded_stores') }}
            )
            or (ifNull(subsidiary, ''), upper(ifNull(store_code, ''))) in (
                select (sbs_no, upper(store_code)) from {{ ref('excluded_stores') }}
            )
            or (ifNull(subsidiary, ''), upper(ifNull(known_store_code, ''))) in (
                select (sbs_no, upper(store_code)) from {{ ref('excluded_stores') }}
            ), 'excluded_store',
            not is_sale and not is_return, 'no_goods',
            null
        ) as non_event_reason,
        multiIf(
            document_sid is null or has(malformed_references, 'BT_CUID'), 'sid_malformed',
            not has_number, 'receipt_number_unreadable',
            business_wall_time is null, 'timestamp_unreadable',
            occurred_at is null, 'timezone_unknown',
            {{ far_ahead('seconds_ahead') }}, 'time_in_future',
            -- What decides what the document is. Where the amounts of a side come from, its own
            -- model holds it for them.
            notEmpty(unreadable_line_flags) or arrayExists(
                flag -> multiIf(
                    flag = 'USE_VAT', 0,
                    flag = 'HAS_SALE', sold_quantity is null,
                    flag = 'HAS_RETURN', returned_quantity is null,
                    1
                ), unreadable_flags
            ), 'flag_unreadable',
            hasAny(unreadable_numbers, ['SOLD_QTY', 'RETURN_QTY'])
            or has(unreadable_line_numbers, 'unknown.QTY')
            or sold_quantity is null and has_sale is null
            and has(unreadable_numbers, 'SALE_TOTAL_AMT'), 'number_unreadable',
            currency is null, 'currency_unmapped',
            has_sign_conflict or sold_quantity < 0 and has_return = 0, 'sign_conflict',
            line_count = 0 and not {{ var('send_documents_without_lines') }},
            'document_without_lines',
            has_order_lines_only, 'order_lines_only',
            null
        ) as failure_code,
        multiIf(
            non_event_reason in ('held', 'not_posted', 'order_or_deposit'), non_event_reason,
            not is_sale and (sold_quantity is not null or has_sale is not null), 'no_sale',
            null
        ) as cancel_reason,
        arrayFilter(code -> code != '', [
            if(has_sale != is_sale or has_return != is_return, 'flags_contradict_quantities', ''),
            if(unidentified_lines > 0, 'product_unidentified', ''),
            if(seconds_ahead > 0, 'time_ahead', ''),
            if(clock_change != '', concat('time_', clock_change), ''),
            if(has_two_stores = 1, 'stores_differ', ''),
            if(had_card_number = 1 or card_number_lines > 0, 'card_number_removed', ''),
            if(
                undirected_lines = 0 and line_count > 0 and (
                    is_sale and sale_lines = 0
                    or is_return and return_lines = 0
                    or if(sold_quantity < 0, 0, sold_quantity) != ifNull(sold_line_quantity, 0)
                    or abs(
                        if(
                            sold_quantity < 0 and ifNull(returned_quantity, 0) = 0,
                            sold_quantity, returned_quantity
                        )
                    ) != ifNull(returned_line_quantity, 0)
                ), 'quantities_differ', ''
            ),
            if(
                row_key in (
                    select document_sid from {{ ref('int_document_loads_superseded') }}
                    where may_lack_lines
                ), 'lines_may_be_missing', ''
            ),
            if(
                has(malformed_references, 'REF_SALE_SID') or notEmpty(malformed_line_references),
                'reference_malformed', ''
            )
        ]) as document_warnings
    from counted

)

select * except (is_order, has_number) from classified
