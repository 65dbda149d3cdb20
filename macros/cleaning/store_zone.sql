{#-
    The zone that the mappings give a store, as they spell it: of the store, which its number
    tells and else its code in any case; else of its subsidiary, else the variable
    default_timezone; null for none.
-#}
{% macro store_zone(subsidiary, store_no, store_code) -%}
{%- set stores -%}
select
                    {key} as key,
                    concat(time_zone, ' ') as value
                from {{ ref('stores') }}
{%- endset -%}
{%- set subsidiaries -%}
select
                    sbs_no as key,
                    time_zone as value
                from {{ ref('subsidiaries') }}
                where time_zone != ''
{%- endset -%}
{%- set by_number = stores | replace('{key}', "concat(sbs_no, ' ', toString(toInt64OrNull(store_no)))") -%}
{%- set by_code = stores | replace('{key}', "concat(sbs_no, ' ', upper(store_code))") -%}
coalesce(
            -- A store without a zone is a blank.
            nullIf(trim(coalesce(
                {{ looked_up("concat(" ~ subsidiary ~ ", ' ', toString(" ~ store_no ~ "))", by_number) }},
                {{ looked_up("concat(" ~ subsidiary ~ ", ' ', upper(" ~ store_code ~ "))", by_code) }}
            )), ''),
            {{ looked_up(subsidiary, subsidiaries) }},
            nullIf('{{ var("default_timezone") }}', '')
        )
{%- endmacro %}

{#- ClickHouse's name of a zone that is spelled in any case; empty for one that it does not know. -#}
{% macro known_zone(zone) -%}
{%- set zones -%}
select
                    upper_zone as key,
                    known_zone as value
                from ({{ known_zones() }})
{%- endset -%}
ifNull({{ looked_up("upper(" ~ zone ~ ")", zones) }}, '')
{%- endmacro %}

{#-
    The value of a key in a small select of key and value, null for none. By a constant, so that
    a model of many rows needs no join.
-#}
{% macro looked_up(key, pairs) -%}
{%- set listed = "(select arraySort(groupArray((ifNull(key, ''), value))).{} from (" ~ pairs ~ "))" -%}
nullIf(transform(ifNull({{ key }}, ''), {{ listed.format(1) }}, {{ listed.format(2) }}, ''), '')
{%- endmacro %}
