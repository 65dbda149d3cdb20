{#-
    First part of every messageId. Segment drops an id that it has seen from any
    of its customers, so staging and production need names of their own.
-#}
{% macro segment_namespace() %}
    {{- return(var('segment_namespace', env_var('SEGMENT_NAMESPACE', 'retailpro-sandbox'))) -}}
{% endmacro %}
