{#-
    Regular expression of text that lost letters on its way: read in a wrong encoding (the
    first letter of such a pair is Â or Ã, â€ stands for a quotation mark, and what is a control
    character in Latin-1 is one in Windows), or written in one without them (?????).
-#}
{% macro damaged_text() -%}
[\\x{00C2}\\x{00C3}][\\x{0080}-\\x{00BF}]|\\x{00E2}\\x{20AC}|[\\x{0080}-\\x{0084}\\x{0086}-\\x{009F}]|\\?{3}|\\x{FFFD}
{%- endmacro %}
