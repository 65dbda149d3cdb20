{#-
    The first valid address in a text, in lower case; null when there is none.
    Several addresses in one field are split, nothing is repaired by guessing: of
    `ann smith@mail.com` nothing is taken, since smith@mail.com is someone else.
    Addresses and domains that tills use as fillers (seed placeholder_emails)
    count as none. The form is the one that the strictest destinations take.
-#}
{% macro clean_email(column) -%}
nullIf(
    arrayFirst(
        address -> match(address, '{{ email_form() }}')
        and not match(address, '\\.\\.|^\\.|\\.@')
        and length(address) <= 254
        and address not in (
            select email_or_domain from {{ ref('placeholder_emails') }} where kind = 'address'
        )
        and splitByChar('@', address)[2] not in (
            select email_or_domain from {{ ref('placeholder_emails') }} where kind = 'domain'
        ),
        splitByRegexp(
            '[;,] *', replaceRegexpAll(lower({{ column }}), '(@[^ ;,]+) +', '\\1;')
        )
    ), ''
)
{%- endmacro %}

{% macro email_form() -%}
^[a-z0-9.!#$%&\\x27*+/=?^_{|}~-]{1,64}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$
{%- endmacro %}

{#- What follows the @; empty without an address. -#}
{% macro domain_of(email) -%}
splitByChar('@', ifNull({{ email }}, ''))[2]
{%- endmacro %}
