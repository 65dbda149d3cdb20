{#-
    Free text of an export with [card] in the place of each number of a payment card. Tills have
    fields for everything but what the customer asks to be written down.
-#}
{% macro without_card_numbers(column) -%}
if(
            match({{ column }}, '{{ digits_of_a_card() }}'),
            arrayFold(
                (text, card) -> replaceAll(text, card, '[card]'),
                {{ card_numbers(column) }}, {{ column }}
            ), {{ column }}
        )
{%- endmacro %}

{#- Whether one of these columns had such a number. -#}
{% macro had_card_number(columns) -%}
{%- set text = "concatWithSeparator('|', " ~ columns | join(', ') ~ ")" -%}
match({{ text }}, '{{ digits_of_a_card() }}') and notEmpty({{ card_numbers(text) }})
{%- endmacro %}

{#-
    The card numbers in a text, as they are written there, the longest first: whole groups of
    digits, 13 to 19 of these in all, that begin as those of an issuer do, are as long as that
    issuer's, and have the right check digit.
-#}
{% macro card_numbers(text) -%}
arraySort(
                    found -> -length(found),
                    arrayFilter(
                        found -> match(replaceRegexpAll(found, '[ -]', ''), '{{ issued_number() }}')
                        and {{ luhn_sum("extractAll(found, '[0-9]')") }} % 10 = 0,
                        arrayFlatten(arrayMap(
                            rest -> [
                                {%- for digits in range(13, 20) %}
                                extract(rest, '^([0-9](?:[ -]{0,3}[0-9]){ {{- digits - 1 -}} })(?:[^0-9]|$)'){{ ',' if not loop.last }}
                                {%- endfor %}
                            ],
                            arrayMap(
                                place -> substring({{ text }}, place),
                                arrayFilter(
                                    place -> match(substring({{ text }}, place, 1), '[0-9]')
                                    and (
                                        place = 1
                                        or not match(substring({{ text }}, place - 1, 1), '[0-9]')
                                    ),
                                    range(1, length({{ text }}) + 1)
                                )
                            )
                        ))
                    )
                )
{%- endmacro %}

{#- What a look at a text tells: whether it has as many digits as a card. -#}
{% macro digits_of_a_card() -%}
[2-6](?:[ -]{0,3}[0-9]){12}
{%- endmacro %}

{#-
    Regular expression of the digits of a card by issuer: Visa; Mastercard; Mir; American
    Express; Diners Club; JCB; Maestro; Discover and RuPay; UnionPay.
-#}
{% macro issued_number() -%}
{{ return([
    '^(?:4[0-9]{12}(?:[0-9]{3}){0,2}',
    '(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}',
    '220[0-4][0-9]{12,15}',
    '3[47][0-9]{13}',
    '3(?:0[0-5]|09|[689][0-9])[0-9]{11,16}',
    '35(?:2[89]|[3-8][0-9])[0-9]{12,15}',
    '(?:5[0678]|6[37])[0-9]{11,17}',
    '(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}',
    '60[0-9]{14}',
    '62[0-9]{14,17})$',
] | join('|')) }}
{%- endmacro %}

{#- Every second digit from the right counts twice, by the sum of its own digits. -#}
{% macro luhn_sum(digits) -%}
arraySum(
                            (digit, place) -> if(
                                place % 2 = 0, digit * 2 - if(digit > 4, 9, 0), digit
                            ),
                            arrayReverse(arrayMap(digit -> toInt16(digit), {{ digits }})),
                            arrayEnumerate({{ digits }})
                        )
{%- endmacro %}
