{{ retail_pro_rows('customer') }}
