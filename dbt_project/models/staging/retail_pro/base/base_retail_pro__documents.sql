{{ retail_pro_rows('document') }}
