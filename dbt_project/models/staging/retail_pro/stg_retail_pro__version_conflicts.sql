-- Rows of one load that claim to be the same version of the same thing and differ.
with versions as (

    {{ all_staged_rows([
        'source_sid', 'row_key', exported_version() ~ ' as version', 'content_hash',
    ]) }}

)

select
    entity_type,
    row_key as entity_id,
    max(_loaded_at) as last_loaded_at
from versions
where row_key = source_sid
group by entity_type, row_key, version, _loaded_at
having uniqExact(content_hash) > 1
