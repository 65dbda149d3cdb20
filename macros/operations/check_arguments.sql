{#-
    Refuses arguments that an operation does not have, lacks, or cannot take for
    what they are: YAML makes a text of "false", a number of a SID, and nothing of
    an empty variable of a shell, and each of these would widen what is done.

    kinds: name -> text, boolean or integer, for every argument that there is.
    values: name -> what was given, none for nothing. unknown: what else was given.
-#}
{% macro check_arguments(operation, kinds, values, unknown, required=[]) %}
    {%- for name in unknown -%}
        {{ exceptions.raise_compiler_error(operation ~ ": there is no argument " ~ name ~ ". There are: " ~ kinds | join(', ') ~ ".") }}
    {%- endfor -%}
    {%- for name, kind in kinds.items() if values[name] is not none or name in required -%}
        {%- set problem = argument_problem(name, kind, values[name]) -%}
        {%- if problem -%}
            {{ exceptions.raise_compiler_error(operation ~ ": " ~ problem) }}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}

{#- What is wrong with an argument, and what to write instead; none if nothing is. -#}
{% macro argument_problem(name, kind, value) %}
    {%- if value is none -%}
        {{- return(name ~ ' is missing.') -}}
    {%- elif kind == 'boolean' and value is not boolean -%}
        {{- return(name ~ " is '" ~ value ~ "'. Write true or false, without quotation marks.") -}}
    {%- elif kind == 'integer' and value is not integer -%}
        {{- return(name ~ " is '" ~ value ~ "'. Write a whole number, without quotation marks.") -}}
    {%- elif kind == 'text' and value is not string -%}
        {{- return(name ~ " is '" ~ value ~ "', which is not a text. Put it between quotation marks: " ~ name ~ ': "..."') -}}
    {%- elif kind == 'text' and not value | trim -%}
        {{- return(name ~ ' is empty. Give it a value, or leave it out.') -}}
    {%- endif -%}
    {{- return(none) -}}
{% endmacro %}
