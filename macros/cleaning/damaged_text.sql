{#-
    Regular expression of text that lost letters on its way: read in a wrong encoding (the
    first letter of such a pair is Â or Ã), or written in one without them (?????).
-#}
{% macro damaged_text() -%}
[\\x{00C2}\\x{00C3}][\\x{0080}-\\x{00BF}]|\\?{3}|\\x{FFFD}
{%- endmacro %}
