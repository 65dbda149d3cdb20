-- The lease.

-- name: create_leases
-- Claims to the leases of building and sending, and their signs of life. Nothing merges them, so
-- every row counts from the moment of its insert; see luigi_tasks/lease.py.
create table if not exists {database:Identifier}.segment_delivery_leases $on_cluster
(
    name LowCardinality(String),
    owner UUID,
    released UInt8,
    machine String,
    pid UInt32,
    process_started_at Float64,
    run_id UUID,
    call LowCardinality(String),
    first_enqueued_at DateTime64(6, 'UTC'),
    last_enqueued_at DateTime64(6, 'UTC'),
    recorded_at DateTime64(6, 'UTC'),
    expires_at DateTime64(6, 'UTC')
)
engine = ${replicated}MergeTree
order by (name, recorded_at)
ttl toDateTime(recorded_at) + interval 30 day

-- name: lease_write
-- A claim, a sign of life, or the end of a claim. The server's clock says until when it counts.
insert into {database:Identifier}.segment_delivery_leases
select
    {lease:String}, {owner:UUID}, {released:UInt8}, {machine:String}, {pid:UInt32},
    {process_started_at:Float64}, {run_id:UUID}, {call:String},
    {first_enqueued_at:DateTime64(6, 'UTC')}, {last_enqueued_at:DateTime64(6, 'UTC')},
    now64(6, 'UTC'), now64(6, 'UTC') + toIntervalMillisecond({lifetime_ms:UInt32})

-- name: lease_claims
-- The claims that are alive: neither given back nor expired.
select
    owner,
    any(machine) as machine,
    any(pid) as pid,
    any(process_started_at) as process_started_at,
    any(run_id) as run_id,
    min(recorded_at) as since,
    any(name) as name
from {database:Identifier}.segment_delivery_leases
where recorded_at > now64(6, 'UTC') - interval 1 day
group by owner
having max(released) = 0 and max(expires_at) > now64(6, 'UTC')
order by since

-- name: lease_ends
-- The claims of the last day but for the own one, whether they are this process's, and for how many
-- seconds each has certainly not been held. One that was not given back may have been held until
-- just now, unless it has expired.
select name, is_own, if(released or age > {lifetime:Float64}, age, 0) as ago
from (
    select
        any(name) as name,
        max(machine = {machine:String} and pid = {pid:UInt32}) as is_own,
        max(released) as released,
        dateDiff('microsecond', max(recorded_at), now64(6, 'UTC')) / 1e6 as age
    from {database:Identifier}.segment_delivery_leases
    where recorded_at > now64(6, 'UTC') - interval 1 day and owner != {owner:UUID}
    group by owner
)
order by ago
