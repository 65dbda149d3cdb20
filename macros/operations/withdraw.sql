{#-
    Takes pending messages out of the outbox, so that they are never sent: dbt
    run-operation withdraw --args '{call: identify, since: "2026-11-22 10:00:00",
    note: "wrong model"}'. The same bounds as requeue, on the time at which the
    messages entered the outbox. Stop the schedule first: a run that is under way
    has its list already.

    A customer goes out again with the next change; an order does not, unless it
    is requeued. The note stays in segment_failed_events, as resolved.
-#}
{% macro withdraw(call=none, note=none, entity_id=none, since=none, until=none, everything=none) %}
    {%- do check_arguments(
        'withdraw',
        {'call': 'text', 'note': 'text', 'entity_id': 'text', 'since': 'text', 'until': 'text', 'everything': 'boolean'},
        {'call': call, 'note': note, 'entity_id': entity_id, 'since': since, 'until': until, 'everything': everything},
        kwargs,
        required=['call', 'note'],
    ) -%}
    {%- set range = message_range('withdraw', call, entity_id, since, until, everything) -%}
    {%- set count = run_query(
        'select count() from ' ~ target.schema ~ '.segment_' ~ call ~ '_outbox where ' ~ range
    ).columns[0].values()[0] -%}
    {%- if count == 0 -%}
        {{ refuse_empty_range('withdraw', call, 'segment_' ~ call ~ '_outbox', range, 'is withdrawn') }}
    {%- endif -%}
    {%- do run_query(settle_pending(call, range, 'resolved', 'withdrawn', note)) -%}
    {{ print('withdraw: ' ~ count ~ ' ' ~ call ~ ' message(s) are out of the outbox and will not be sent.') }}
{% endmacro %}
