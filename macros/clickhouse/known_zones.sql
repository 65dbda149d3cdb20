{#- ClickHouse's IANA zones, once for each name without regard to case. -#}
{% macro known_zones() -%}
select
        upper(time_zone) as upper_zone,
        any(time_zone) as known_zone
    from system.time_zones
    group by upper_zone
{%- endmacro %}
