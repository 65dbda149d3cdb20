{#-
    A Retail Pro row id as text; null unless it is one to nineteen digits and has no zero before
    them. Ids mangled by a spreadsheet or a float cannot be repaired and are never cast; padded
    with zeros they would be another customer or order at Segment.
-#}
{% macro clean_sid(column) -%}
if(match({{ column }}, '^(0|-?[1-9][0-9]{0,18})$'), {{ column }}, null)
{%- endmacro %}

{#-
    What tells the rows of a table apart: the SID, or for a malformed one its
    text with a hash of the exported row. A spreadsheet gives many rows the same
    text, and a row that is exported again unchanged must stay one row. From the
    columns source_sid and content_hash.
-#}
{% macro row_key(sid) -%}
ifNull(
            {{ sid }},
            concat(source_sid, ' ', hex(content_hash))
        )
{%- endmacro %}

{#- Hash of an exported row without where it came from. For a select from a base model. -#}
{% macro content_hash() -%}
cityHash64(* except (_load_id, _file, _line, _loaded_at))
{%- endmacro %}

{#- A reference to another row: like a SID, and 0 stands for none. -#}
{% macro clean_reference(column) -%}
nullIf({{ clean_sid(column) }}, '0')
{%- endmacro %}
