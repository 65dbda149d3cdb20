{{ retail_pro_rows('document_item') }}
