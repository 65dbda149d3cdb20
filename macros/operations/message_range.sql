{#- The condition on messages that the arguments of an operation stand for. -#}
{% macro message_range(operation, call, entity_id, since, until, everything) %}
    {%- if call not in ('identify', 'track') -%}
        {{ exceptions.raise_compiler_error(operation ~ ": call is '" ~ call ~ "'. Set it to identify or track.") }}
    {%- endif -%}
    {%- if not (entity_id or since or until or everything) -%}
        {{ exceptions.raise_compiler_error(operation ~ ": give entity_id, since, until, or everything: true.") }}
    {%- endif -%}
    {%- set filters = ['true'] -%}
    {%- if entity_id -%}{%- do filters.append('entity_id = ' ~ sql_text(entity_id)) -%}{%- endif -%}
    {%- if since -%}{%- do filters.append('entered_at >= ' ~ instant(since)) -%}{%- endif -%}
    {%- if until -%}{%- do filters.append('entered_at < ' ~ instant(until)) -%}{%- endif -%}
    {{- return(filters | join(' and ')) -}}
{% endmacro %}

{#- A moment, given as text in UTC. -#}
{% macro instant(text) -%}
parseDateTime64BestEffort({{ sql_text(text) }}, 6, 'UTC')
{%- endmacro %}

{#- Fails an operation that found nothing to do, and says whether its range or something else is why. -#}
{% macro refuse_empty_range(operation, call, table, range, done) %}
    {%- set matching = run_query(
        'select count() from ' ~ target.schema ~ '.' ~ table ~ ' where ' ~ range
    ).columns[0].values()[0] -%}
    {%- if matching -%}
        {%- set reason = matching ~ ' ' ~ call ~ ' message(s) match, but none of them is the last one about something'
            ~ ' that is still due: it is held, excluded or gone by now, or has a later message' -%}
    {%- else -%}
        {%- set reason = 'no ' ~ call ~ ' message in ' ~ table ~ ' matches' -%}
    {%- endif -%}
    {{ exceptions.raise_compiler_error(
        operation ~ ': ' ~ reason ~ ', so nothing ' ~ done
        ~ '. Look a SID up with python -m luigi_tasks.explain; since and until are times of entry into the outbox in UTC.'
    ) }}
{% endmacro %}
