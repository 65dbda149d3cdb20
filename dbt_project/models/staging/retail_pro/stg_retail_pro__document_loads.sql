-- What each load brought of each document: the newest version in it.
with source as (

    select * from {{ ref('base_retail_pro__documents') }}

),

tidied as (

    select
        {{- tidied(['SID', 'MODIFIED_DATETIME', 'POST_DATE', 'ROW_VERSION']) }}
        _loaded_at
    from source

),

typed as (

    select
        {{ clean_sid('SID') }} as document_sid,
        {{ clean_wall_time('MODIFIED_DATETIME') }} as modified_wall_time,
        {{ clean_offset('MODIFIED_DATETIME') }} as modified_offset,
        {{ clean_wall_time('POST_DATE') }} as posted_wall_time,
        {{ clean_integer('ROW_VERSION') }} as row_version,
        _loaded_at
    from tidied
    where document_sid is not null

)

select
    assumeNotNull(document_sid) as document_sid,
    _loaded_at as loaded_at,
    max({{ exported_version() }}) as version
from typed
group by document_sid, loaded_at
