-- Rows that share their values of all the given columns. Nulls are values here.
{% test unique_combination(model, columns) %}

select
    {{ columns | join(', ') }},
    count() as copies
from {{ model }}
group by {{ columns | join(', ') }}
having copies > 1

{% endtest %}
