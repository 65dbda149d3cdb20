{#-
    What a change of a message is recognised by, as MD5 in hex. Of a track message only the
    properties count: an order whose customer has another e-mail address has not changed. Of an
    identify all of it counts but nulls, which erase a trait once and are not said again.
    Quotes inside JSON text are escaped, so neither pattern can hit a value.
-#}
{% macro payload_hash(body) -%}
lower(hex(MD5(replaceRegexpAll(
            substring({{ body }}, greatest(position({{ body }}, '"properties":'), 1)),
            '"[A-Za-z]+":null,?', ''
        ))))
{%- endmacro %}

{#- The version of a message that can come again: its content and the message before it. -#}
{% macro chained_version(payload_hash, last_message_id) -%}
lower(hex(MD5(concat({{ payload_hash }}, replaceAll(toString({{ last_message_id }}), '-', '')))))
{%- endmacro %}
