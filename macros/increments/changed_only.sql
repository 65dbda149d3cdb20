{#-
    The condition that a row belongs to what this build works on: its key is in a model of changed
    keys. Nothing is compared when the build works on all rows; a data test asks what the build did.
-#}
{% macro changed_only(key, changed, changed_key=none) -%}
{%- if execute and (built_everything() if model.resource_type == 'test' else rebuilds_everything()) -%}
true
{%- else -%}
{{ key }} in (select {{ changed_key or key }} from {{ changed }})
{%- endif -%}
{%- endmacro %}
