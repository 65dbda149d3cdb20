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
