{#-
    What a line of the export says of its side: sale, return, other; empty where its document has to
    tell. For tests that compare the export with what was made of it: they go by the export's text,
    in the steps that int_lines_directed takes. From tidied columns.
-#}
{% macro exported_line_side() -%}
multiIf(
            ITEM_TYPE != '' and {{ exported_number('ITEM_TYPE') }} = 1, 'sale',
            ITEM_TYPE != '' and {{ exported_number('ITEM_TYPE') }} = 2, 'return',
            ITEM_TYPE != '', 'other',
            {{ exported_number('QTY') }} < 0, 'return',
            ''
        )
{%- endmacro %}

{#-
    The side of those lines of a document that say nothing themselves, as int_documents_sided
    finds it: by quantities, flags and kind. Empty where the document has both sides or names none.
    Select expressions; the last is called header_side.
-#}
{% macro exported_header_side() -%}
lower(left(HAS_SALE, 1)) in ('1', 't', 'y') as says_sale,
        lower(left(HAS_RETURN, 1)) in ('1', 't', 'y') as says_return,
        multiIf(
            SOLD_QTY != '', {{ exported_number('SOLD_QTY') }} > 0,
            HAS_SALE != '', says_sale,
            RECEIPT_TYPE != '' and {{ exported_number('RECEIPT_TYPE') }} = 0 and not says_return
            and {{ exported_number('SALE_TOTAL_AMT') }} != 0
            and {{ exported_number('ORDER_TYPE') }} not in (1, 2)
        ) as claims_sale,
        multiIf(
            {{ exported_number('RETURN_QTY') }} != 0 or {{ exported_number('SOLD_QTY') }} < 0, true,
            RETURN_QTY != '', false,
            HAS_RETURN != '', says_return,
            {{ exported_number('RECEIPT_TYPE') }} = 1 and not claims_sale
        ) as claims_return,
        multiIf(
            claims_sale and claims_return, '',
            claims_sale, 'sale',
            claims_return, 'return',
            says_sale and not says_return, 'sale',
            says_return and not says_sale, 'return',
            ''
        ) as header_side
{%- endmacro %}
