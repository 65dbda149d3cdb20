{{ config(**state_table('(buyer_sid, row_key)')) }}

-- Documents as of the last build that worked on them: why they stand for no order event, and what
-- became of their lines.
with documents as (

    select * from {{ ref('int_documents_classified') }}

),

lines as (

    select
        document_sid,
        groupArray(cast(
            (source_sid, line_sid, reason, _file, _line, _loaded_at),
            'Tuple(
                source_sid String,
                line_sid Nullable(String),
                reason LowCardinality(String),
                _file LowCardinality(String),
                _line UInt64,
                _loaded_at DateTime64(3, \'UTC\')
            )'
        )) as lines
    from {{ ref('int_lines_explained') }}
    group by document_sid

),

states as (

    select
        ifNull(documents.customer_sid, '') as buyer_sid,
        documents.row_key as row_key,
        documents.source_sid as source_sid,
        documents.document_sid as document_sid,
        documents.non_event_reason as non_event_reason,
        documents._loaded_at as _loaded_at,
        lines.lines as lines
    from documents
    left join lines on documents.row_key = lines.document_sid

)

{{ with_those_gone('states', ['buyer_sid', 'row_key']) }}
