-- Documents with the order events they stand for, or why they stand for none.
with documents as (

    select * from {{ ref('int_documents_located') }}

),

line_totals as (

    select * from {{ ref('int_line_totals') }}

),

counted as (

    select
        documents.*,
        line_totals.* except (document_sid),
        line_totals.sale_lines > 0
        or ifNull(documents.sold_quantity, 0) != 0
        or (documents.sold_quantity is null and ifNull(documents.has_sale, 0) = 1) as is_sale,
        line_totals.return_lines > 0
        or ifNull(documents.returned_quantity, 0) != 0
        or (documents.returned_quantity is null and ifNull(documents.has_return, 0) = 1)
            as is_return,
        coalesce(documents.uses_vat, documents.subsidiary_uses_vat) as prices_include_tax
    from documents
    left join line_totals on documents.document_sid = line_totals.document_sid

),

classified as (

    select
        *,
        multiIf(
            is_held = 1, 'held',
            ifNull(status, 4) != 4, 'not_posted',
            status is null and not match(ifNull(receipt_number, ''), '[1-9]'), 'not_posted',
            receipt_type = 2, 'order_or_deposit',
            (ifNull(subsidiary, ''), '') in (
                select (sbs_no, store_code) from {{ ref('excluded_stores') }}
            )
            or (ifNull(subsidiary, ''), upper(ifNull(store_code, ''))) in (
                select (sbs_no, upper(store_code)) from {{ ref('excluded_stores') }}
            ), 'excluded_store',
            not is_sale and not is_return, 'no_goods',
            null
        ) as non_event_reason,
        multiIf(
            document_sid is null, 'sid_malformed',
            business_wall_time is null, 'timestamp_unreadable',
            occurred_at is null, 'timezone_unknown',
            notEmpty(unreadable_numbers) or notEmpty(unreadable_line_numbers), 'number_unreadable',
            currency is null, 'currency_unmapped',
            has_sign_conflict, 'sign_conflict',
            line_count = 0 and not {{ var('send_documents_without_lines') }},
            'document_without_lines',
            null
        ) as failure_code
    from counted

)

select * from classified
