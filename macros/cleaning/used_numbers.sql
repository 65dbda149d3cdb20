{#- Names of the number columns that a message about a sale is made of; see any_of. -#}
{% macro numbers_of_sale() -%}
[
            'SALE_TOTAL_AMT', 'SALE_SUBTOTAL', 'SALE_TOTAL_TAX_AMT', 'SHIPPING_AMT',
            'TOTAL_DISCOUNT_AMT', 'TOTAL_FEE_AMT', 'sale.QTY', 'sale.PRICE'
            {{- ", 'sale.DIP_PRICE'" if var('exclude_gift_cards') }}
        ]
{%- endmacro %}

{#-
    The same of a return, which takes less of its lines the more its header says. From the
    columns of int_returns_valued.
-#}
{% macro numbers_of_return() -%}
arrayConcat(
            [
                'RETURN_SUBTOTAL', 'RETURN_SUBTOTAL_WITH_TAX', 'TOTAL_FEE_AMT', 'return.QTY',
                'return.PRICE' {{- ", 'return.DIP_PRICE'" if var('exclude_gift_cards') }}
            ],
            if(is_from_lines, ['return.DIP_PRICE'], ['RETURN_TOTAL_TAX_AMT']),
            if(is_from_lines or return_tax is null, ['return.TAX_AMT'], []),
            if(depends_on_tax and uses_vat is null, ['TRANSACTION_TOTAL_AMT'], []),
            if(depends_on_tax and uses_vat is null and is_sale, ['SALE_TOTAL_AMT'], [])
        )
{%- endmacro %}

{#-
    Whether a document, or one of its lines, has a number of these names that is `unreadable` or
    `rounded`. Names of lines' columns bear the side of the receipt.
-#}
{% macro any_of(what, names) -%}
(hasAny({{ what }}_numbers, {{ names }}) or hasAny({{ what }}_line_numbers, {{ names }}))
{%- endmacro %}
