-- The lease.

-- name: create_leases
-- Claims to the leases of building and sending, and their signs of life. Nothing merges them, so
-- every row counts from the moment of its insert; see luigi_tasks/runs/lease.py. released: 0 a sign of
-- life, 1 given back, 2 ended in doubt: found dead by another run, or with results that it could not
-- record; 3 a place in the queue, 4 its end.
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
    expires_at DateTime64(6, 'UTC'),
    process_start String
)
engine = ${replicated}MergeTree
order by (name, recorded_at)
ttl toDateTime(recorded_at) + interval 30 day

-- name: lease_columns
-- Whether the table has the newest column; one of an older version has not.
select count()
from system.columns
where database = {database:String}
    and table = 'segment_delivery_leases' and name = 'process_start'

-- name: lease_add_columns
-- Brings a table of an older version up to date.
alter table {database:Identifier}.segment_delivery_leases $on_cluster
add column if not exists process_start String

-- name: lease_write
-- A claim, a sign of life, the end of a claim, or a place in the queue.
insert into {database:Identifier}.segment_delivery_leases (
    name, owner, released, machine, pid, process_started_at, run_id, call, first_enqueued_at,
    last_enqueued_at, recorded_at, expires_at, process_start
)
select
    {lease:String}, {owner:UUID}, {released:UInt8}, {machine:String}, {pid:UInt32},
    {process_started_at:Float64}, {run_id:UUID}, {call:String},
    {first_enqueued_at:DateTime64(6, 'UTC')}, {last_enqueued_at:DateTime64(6, 'UTC')},
    now64(6, 'UTC'), now64(6, 'UTC') + toIntervalMillisecond({lifetime_ms:UInt32}),
    {process_start:String}

-- name: lease_found_dead
-- The end of another run's claim that has shown no sign of life. What it was about to send stays
-- known.
insert into {database:Identifier}.segment_delivery_leases
select * replace (2 as released, now64(6, 'UTC') as recorded_at, now64(6, 'UTC') as expires_at)
from (
    select * from {database:Identifier}.segment_delivery_leases
    where owner = {dead:UUID}
    order by recorded_at desc
    limit 1
)

-- name: lease_claims
-- The claims that nobody has ended, and whether the server's clock says that they are alive. All
-- that are not removed yet: by a clock that was set, any of them may be.
select
    owner,
    any(machine) as machine,
    any(pid) as pid,
    max(process_start) as process_start,
    any(run_id) as run_id,
    min(recorded_at) as since,
    any(name) as name,
    max(dateDiff('millisecond', recorded_at, expires_at)) / 1e3 as lifetime,
    (count(), max(recorded_at)) as sign,
    max(expires_at) > now64(6, 'UTC') as is_current
from {database:Identifier}.segment_delivery_leases
group by owner
having max(released) = 0
order by since

-- name: lease_queue
-- Those who wait, the longest first, as far as they have said so in the last seconds.
select
    owner,
    any(machine) as machine,
    any(pid) as pid,
    max(process_start) as process_start,
    any(run_id) as run_id,
    min(recorded_at) as since,
    any(name) as name
from {database:Identifier}.segment_delivery_leases
where
    recorded_at > now64(6, 'UTC') - interval 1 hour
    -- Not those of before the clock was set back.
    and recorded_at < now64(6, 'UTC') + toIntervalSecond({patience:UInt32})
group by owner
having
    min(released) = 3 and max(released) = 3
    and max(recorded_at) > now64(6, 'UTC') - toIntervalSecond({patience:UInt32})
order by since, owner

-- name: lease_ends
-- The claims of the last day but for the own one, whether they are this process's, and for how many
-- seconds each has certainly not been held; none when the clock was set back meanwhile. One that
-- was not given back may have been held until just now, unless it has expired.
select name, is_own, if(released or age > {lifetime:Float64}, greatest(age, 0), 0) as ago
from (
    select
        any(name) as name,
        max(machine = {machine:String} and pid = {pid:UInt32}) as is_own,
        max(released) as released,
        dateDiff('microsecond', max(recorded_at), now64(6, 'UTC')) / 1e6 as age
    from {database:Identifier}.segment_delivery_leases as leases
    where
        recorded_at > now64(6, 'UTC') - interval 1 day
        and owner != {owner:UUID}
        and leases.released < 3
    group by owner
)
order by ago
