-- Rows of one load that claim to be the same version of the same thing and differ.
with source as (

    {{ all_exported_rows(['SID', 'MODIFIED_DATETIME', 'POST_DATE', 'ROW_VERSION']) }}

),

tidied as (

    select
        {{- tidied(['SID', 'MODIFIED_DATETIME', 'POST_DATE', 'ROW_VERSION']) }}
        entity_type,
        content_hash,
        _loaded_at
    from source

),

typed as (

    select
        entity_type,
        {{ clean_sid('SID') }} as entity_id,
        {{ clean_wall_time('MODIFIED_DATETIME') }} as modified_wall_time,
        {{ clean_offset('MODIFIED_DATETIME') }} as modified_offset,
        {{ clean_wall_time('POST_DATE') }} as posted_wall_time,
        {{ clean_integer('ROW_VERSION') }} as row_version,
        content_hash,
        _loaded_at
    from tidied
    where entity_id is not null

)

select
    entity_type,
    assumeNotNull(entity_id) as entity_id,
    max(_loaded_at) as last_loaded_at
from typed
group by entity_type, entity_id, {{ exported_version() }}, _loaded_at
having uniqExact(content_hash) > 1
