{#-
    What an order says, as the export has it: a hash of the columns of one row that messages about
    orders are made of, as they were exported. It does not depend on how they are read: not on
    cleaning, mappings or variables. What is left out by name tells versions apart, or is no part
    of what an order says. table_name: document or document_item. For a select from `source`.
-#}
{% macro order_content(table_name) -%}
cityHash64(
            {%- for column in order_columns(table_name) %}
            source.{{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
{%- endmacro %}

{#- The columns that messages about orders are made of, in the order in which they are hashed. -#}
{% macro order_columns(table_name) %}
    {{- return({
        'document': [
            'DOC_NO', 'BT_CUID', 'HAS_SALE', 'HAS_RETURN', 'SOLD_QTY', 'RETURN_QTY', 'SALE_TOTAL_AMT',
            'SALE_SUBTOTAL', 'SALE_TOTAL_TAX_AMT', 'TOTAL_DISCOUNT_AMT', 'SHIPPING_AMT', 'CURRENCY_NAME',
            'TENDER_NAME', 'STORE_CODE', 'STORE_NO', 'SBS_NO', 'SHIP_METHOD', 'STATUS', 'IS_HELD',
            'RECEIPT_TYPE', 'ORDER_TYPE', 'RETURN_SUBTOTAL', 'RETURN_SUBTOTAL_WITH_TAX',
            'RETURN_TOTAL_TAX_AMT', 'TRANSACTION_TOTAL_AMT', 'TOTAL_FEE_AMT', 'USE_VAT', 'REF_SALE_SID',
        ],
        'document_item': [
            'ITEM_POS', 'ALU', 'DESCRIPTION1', 'DCS_CODE', 'VEND_CODE', 'QTY', 'PRICE', 'TAX_AMT',
            'ITEM_SIZE', 'ATTRIBUTE', 'INVN_SBS_ITEM_SID', 'ITEM_TYPE', 'KIT_FLAG', 'DIP_PRICE',
            'RETURNED_ITEM_INVOICE_SID',
        ],
    }[table_name]) -}}
{% endmacro %}

{#-
    By what rules such hashes are made, as a hash: the columns, and which version of a row counts.
    Hashes of other rules cannot be compared.
-#}
{% macro order_content_rules() %}
    {%- if not execute -%}
        {{- return('') -}}
    {%- endif -%}
    {%- set parts = [] -%}
    {%- for name in ('order_content', 'order_columns', 'newest_version_first', 'exported_version') -%}
        {%- do parts.append(context[name].macro.macro_sql) -%}
    {%- endfor -%}
    {{- return(local_md5(parts | join('\n'))) -}}
{% endmacro %}
