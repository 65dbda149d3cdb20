{#-
    Bytes of UTF-8 of the message that a body becomes, as it is posted: messageId and timestamp,
    which are of one length, are spliced in where its first brace is.
-#}
{% macro message_size(body) -%}
length({{ body }}) + 86
{%- endmacro %}

{#- What Segment takes of one message, in bytes (its HTTP API's documentation: 32 KB). -#}
{% macro most_message_bytes() -%}
32768
{%- endmacro %}
