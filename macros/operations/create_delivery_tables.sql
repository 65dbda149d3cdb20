{#-
    The tables that record deliveries. They are not dbt models: dbt makes them
    when they are missing and never rebuilds them, also on --full-refresh.
    Ledger and events share partition, sort key and size of granules, so that
    a bound on enqueued_at prunes both. The deduplication window drops an append that is
    repeated with the same token after a lost answer.
-#}
{% macro create_delivery_tables() %}
{%- if execute and flags.WHICH in ('build', 'run', 'seed', 'test', 'run-operation') -%}
    {%- do refuse_half_a_cluster() -%}
    {%- do run_query('create database if not exists ' ~ target.schema ~ clickhouse_on_cluster()) -%}
    {%- for name, table in delivery_tables().items() -%}
        {%- set relation = target.schema ~ '.' ~ name ~ clickhouse_on_cluster() -%}
        {%- set columns, additions = [], [] -%}
        {%- for column, type in table.columns.items() -%}
            {%- do columns.append(column ~ ' ' ~ type) -%}
            {%- do additions.append('add column if not exists ' ~ column ~ ' ' ~ type) -%}
        {%- endfor -%}
        {%- for index in table.get('indexes', []) -%}
            {%- do columns.append('index ' ~ index) -%}
            {%- do additions.append('add index if not exists ' ~ index) -%}
        {%- endfor -%}
        {%- do run_query(
            'create table if not exists ' ~ relation ~ ' (' ~ columns | join(', ') ~ ') ' ~ table.engine
        ) -%}
        {#- A table of an older version gets the columns and indexes that it does not have yet. -#}
        {%- do run_query('alter table ' ~ relation ~ ' ' ~ additions | join(', ')) -%}
    {%- endfor -%}
    {%- do add_entered_at() -%}
{%- endif -%}
{% endmacro %}

{#- Gives events tables of an older version, whose messages entered where they are placed, the time of entry. -#}
{% macro add_entered_at() %}
    {%- for call in ('identify', 'track') -%}
        {%- set events = load_relation(
            api.Relation.create(schema=target.schema, identifier='segment_' ~ call ~ '_events')
        ) -%}
        {%- if events -%}
            {%- do run_query(
                'alter table ' ~ events ~ clickhouse_on_cluster()
                ~ " add column if not exists entered_at DateTime64(6, 'UTC') default enqueued_at"
            ) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}

{#-
    Stops when dbt would replicate its tables and Luigi would not, or the other way round, and on
    a cluster of several shards, where the tables of one would not be those of the others.
-#}
{% macro refuse_half_a_cluster() %}
    {%- set named = env_var('CLICKHOUSE_CLUSTER', '') -%}
    {%- if named != (target.cluster or '') or (target.name == 'cluster' and not named) -%}
        {{ exceptions.raise_compiler_error(
            "CLICKHOUSE_CLUSTER is '" ~ named ~ "' and the target is " ~ target.name ~ ". On a cluster set"
            ~ " CLICKHOUSE_CLUSTER to its name and DBT_TARGET to cluster or to nothing; elsewhere unset CLICKHOUSE_CLUSTER."
        ) }}
    {%- endif -%}
    {%- if named and run_query(
        'select uniqExact(shard_num) from system.clusters where cluster = ' ~ sql_text(named)
    ).columns[0].values()[0] > 1 -%}
        {{ exceptions.raise_compiler_error(
            "The cluster " ~ named ~ " has several shards. Set CLICKHOUSE_CLUSTER to one of a single shard; see docs/cluster.md."
        ) }}
    {%- endif -%}
{% endmacro %}

{#- ` on cluster NAME ` when the target has a cluster. -#}
{% macro clickhouse_on_cluster() %}
    {{- return(" on cluster '" ~ target.cluster ~ "' " if target.cluster else ' ') -}}
{% endmacro %}

{#- Name and definition of each delivery table. -#}
{% macro delivery_tables() %}
{%- set window = 'replicated_deduplication_window' if target.cluster else 'non_replicated_deduplication_window' -%}
{{- return({
    'segment_delivery_ledger': {
        'columns': {
            'message_id': "UUID",
            'call': "LowCardinality(String)",
            'event': "LowCardinality(String)",
            'entity': "LowCardinality(String)",
            'entity_id': "String",
            'status': "Enum8('accepted' = 1, 'rejected' = 2, 'resolved' = 3, 'requeued' = 4)",
            'reason_code': "LowCardinality(String)",
            'detail': "String",
            'http_status': "UInt16",
            'attempt': "UInt16",
            'batch_id': "UUID",
            'message_bytes': "UInt32",
            'payload_hash': "String",
            'enqueued_at': "DateTime64(6, 'UTC')",
            'slot': "DateTime('UTC')",
            'run_id': "UUID",
            'dbt_invocation_id': "String",
            'sent_at': "DateTime64(3, 'UTC')",
            'recorded_at': "DateTime64(3, 'UTC')",
        },
        'indexes': ['statuses status type minmax granularity 1'],
        'engine': "engine = " ~ replicated('ReplacingMergeTree(recorded_at)') ~ "
    partition by toYYYYMM(enqueued_at) order by (enqueued_at, message_id)
    settings index_granularity = 256, " ~ window ~ " = 10000",
    },
    'segment_delivery_attempts': {
        'columns': {
            'batch_id': "UUID",
            'run_id': "UUID",
            'slot': "DateTime('UTC')",
            'call': "LowCardinality(String)",
            'messages': "UInt32",
            'bytes': "UInt32",
            'http_status': "UInt16",
            'outcome': "Enum8('accepted' = 1, 'retryable' = 2, 'rejected' = 3, 'unknown' = 4)",
            'reason_code': "LowCardinality(String)",
            'detail': "String",
            'retry_after_s': "Float32",
            'duration_ms': "UInt32",
            'started_at': "DateTime64(3, 'UTC')",
            'message_ids': "Array(UUID)",
        },
        'engine': "engine = " ~ replicated('MergeTree') ~ "
    partition by toYYYYMM(started_at) order by (started_at, batch_id)
    settings " ~ window ~ " = 10000",
    },
    'segment_delivery_purges': {
        'columns': {
            'call': "LowCardinality(String)",
            'purged_until': "DateTime64(6, 'UTC')",
            'purged_at': "DateTime64(3, 'UTC')",
            'events_kept': "UInt64",
        },
        'engine': "engine = " ~ replicated('MergeTree') ~ " order by (call, purged_at)
    settings " ~ window ~ " = 100",
    },
    'segment_build_progress': {
        'columns': {
            'call': "LowCardinality(String)",
            'staged_until': "DateTime64(6, 'UTC')",
            'fingerprint': "String",
            'finished_at': "DateTime64(6, 'UTC')",
            'dbt_invocation_id': "String",
            'origin': "LowCardinality(String)",
        },
        'engine': "engine = " ~ replicated('MergeTree') ~ " order by (call, finished_at)
    settings " ~ window ~ " = 100",
    },
    'segment_message_basis': {
        'columns': {
            'kind': "LowCardinality(String)",
            'entity_id': "String",
            'content': "UInt64",
            'rules': "LowCardinality(String)",
            'state': "Enum8('told' = 1, 'behind' = 2, 'withheld' = 3)",
            'noted_at': "DateTime64(6, 'UTC')",
        },
        'engine': "engine = " ~ replicated('ReplacingMergeTree(noted_at)') ~ " order by (kind, entity_id)
    settings index_granularity = 256, " ~ window ~ " = 100",
    },
    'segment_outbox_watermarks': {
        'columns': {
            'call': "LowCardinality(String)",
            'settled_until': "DateTime64(6, 'UTC')",
            'updated_at': "DateTime64(6, 'UTC')",
        },
        'engine': "engine = " ~ replicated('ReplacingMergeTree(updated_at)') ~ " order by call
    settings " ~ window ~ " = 100",
    },
}) -}}
{% endmacro %}
