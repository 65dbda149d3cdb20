{#-
    The body of Order Cancelled, from the last message about the sale: what was said of it, without
    what destinations add up, and why it is cancelled. From the text, since ClickHouse's JSON
    functions read numbers as floats; a quote inside JSON text is escaped, so no pattern can hit a
    value.
-#}
{% macro cancelled_message(message, reason) -%}
concat(
            '{',
            replaceOne(
                replaceRegexpAll(
                    replaceRegexpOne(
                        {{ body_of(message) }}, '"event":"Order (Completed|Updated)"',
                        '"event":"Order Cancelled"'
                    ), '"({{ left_out_when_cancelled() | join("|") }})":-?[0-9.]+,', ''
                ),
                '"properties":{', concat('"properties":{"reason":"', {{ surely(reason) }}, '",')
            )
        )
{%- endmacro %}

{#- Properties of a sale that its cancellation does not repeat. -#}
{% macro left_out_when_cancelled() %}
    {{- return(['revenue', 'fee']) -}}
{% endmacro %}

{#- A message after its messageId and timestamp, which are of one length; `enqueued` put them there. -#}
{% macro body_of(message) -%}
substring({{ message }}, 88)
{%- endmacro %}
