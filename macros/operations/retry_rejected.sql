{#-
    Sends refused messages again, once the data, the seed or the model that they
    were refused for is mended: dbt run-operation retry_rejected. Each goes out
    with its content as it is now and a new messageId. Without call it takes both,
    without error_code (as segment_failed_events shows it) every reason.

    A refused message that a later one has replaced is left alone, and so is one
    that was marked as resolved.
-#}
{% macro retry_rejected(call=none, error_code=none) %}
    {%- do check_arguments(
        'retry_rejected',
        {'call': 'text', 'error_code': 'text'},
        {'call': call, 'error_code': error_code},
        kwargs,
    ) -%}
    {%- if call not in (none, 'identify', 'track') -%}
        {{ exceptions.raise_compiler_error("retry_rejected: call is '" ~ call ~ "'. Set it to identify or track, or leave it out.") }}
    {%- endif -%}
    {%- set counts = {} -%}
    {%- for each in ([call] if call else ['identify', 'track']) -%}
        {%- set rejected -%}
            message_id in (
                select message_id
                from {{ target.schema }}.segment_delivery_ledger final
                where call = '{{ each }}' and status = 'rejected'
                {%- if error_code %} and reason_code = {{ sql_text(error_code) }}{% endif %}
            )
        {%- endset -%}
        {%- do counts.update({each: requeue_range(each, rejected)}) -%}
    {%- endfor -%}
    {%- if counts.values() | sum == 0 -%}
        {{ exceptions.raise_compiler_error(
            'retry_rejected: nothing is sent again, because there is no refused message'
            ~ (' with the code ' ~ error_code if error_code else '') ~ ' whose content is still due and which nobody has'
            ~ ' resolved or replaced. segment_failed_events lists them, as permanent, with their codes.'
        ) }}
    {%- endif -%}
    {%- for each, count in counts.items() -%}
        {{ print('retry_rejected: ' ~ count ~ ' ' ~ each ~ ' message(s) are in the outbox again with a new messageId.') }}
    {%- endfor -%}
{% endmacro %}
