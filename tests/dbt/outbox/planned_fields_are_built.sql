-- Fields that the SQL renders otherwise than the tracking plan says, and fields of only one of
-- the two. Read from the types in the definitions of the message models, so that it holds
-- whatever the data. messageId and timestamp are put in front when a message is entered.
-- An Order Cancelled is cut out of the message before it, which may be an Order Updated, and says
-- why.
-- depends_on: {{ ref('identify') }}
-- depends_on: {{ ref('order_completed') }}
-- depends_on: {{ ref('order_refunded') }}
-- depends_on: {{ ref('order_updated') }}
{%- set definitions -%}
    select
        events.event,
        extract(replaceAll(tables.create_table_query, '\\n', ' '), '''(Tuple\\(.*?)''') as type
    from {{ ref('tracking_plan_events') }} as events
    left join (
        select name, create_table_query from system.tables where database = '{{ target.schema }}'
    ) as tables on if(events.event = 'Order Cancelled', 'order_updated', events.model) = tables.name
{%- endset -%}
{%- set json_types = {
    'String': 'string', 'Bool': 'boolean', 'Decimal': 'number', 'UInt': 'integer', 'Int': 'integer',
    'Tuple': 'object', 'Array': 'array',
} -%}
{%- set built = [] -%}
{%- for event, type in (run_query(definitions).rows if execute else []) -%}
    {%- set plain = modules.re.sub('Nullable\((\w+)(\([0-9, ]+\))?\)', '\\1 absent', type) -%}
    {%- set plain = modules.re.sub('\([0-9, ]+\)', '', plain) -%}
    {%- set plain = modules.re.sub('Map\(String, (\w+)\)', 'Tuple(* \\1 absent)', plain) -%}
    {%- set path = [''] -%}
    {%- for name, kind, absent, end in modules.re.findall(
        '(?:(\w+|[*]) )?\\b(Tuple|Array|String|Bool|Decimal|UInt|Int)[0-9]*( absent)?|(\))', plain
    ) -%}
        {%- if end -%}
            {%- do path.pop() -%}
        {%- else -%}
            {%- set field = (path[-1] ~ '.' ~ name if path[-1] else name) if name
                else (path[-1] ~ '[]' if path[-1] else '') -%}
            {%- if field and not (event == 'Order Cancelled' and name in left_out_when_cancelled()) -%}
                {%- do built.append([event, field, json_types[kind], 0 if absent else 1]) -%}
            {%- endif -%}
            {%- do path.append(field) if kind in ('Tuple', 'Array') -%}
        {%- endif -%}
    {%- endfor -%}
{%- endfor %}
{%- do built.append(['Order Cancelled', 'properties.reason', 'string', 1]) if execute %}
with built as (

    select
        built_field.1 as event,
        built_field.2 as field,
        built_field.3 as type,
        built_field.4 as required
    from (
        select arrayJoin([
            ('', '', '', 0)
            {%- for event, field, type, required in built %},
            ('{{ event }}', '{{ field }}', '{{ type }}', {{ required }})
            {%- endfor %}
        ]) as built_field
    )
    where event != ''

),

planned as (

    select
        event,
        field,
        type,
        required
    from {{ ref('tracking_plan_fields') }}
    where field not in ('messageId', 'timestamp')

)

select
    built.event as built_event,
    built.field as built_field,
    built.type as built_type,
    built.required as always_built,
    planned.event as planned_event,
    planned.field as planned_field,
    planned.type as planned_type,
    planned.required as always_planned
from built
full outer join planned on built.event = planned.event and built.field = planned.field
where
    built_field = ''
    or planned_field = ''
    or built_type != planned_type
    -- Objects and arrays without content are cut out.
    or (built_type not in ('object', 'array') and always_built != always_planned)
