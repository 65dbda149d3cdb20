"""What a run is: its task, slot, shard, lease, markers, clocks, progress and signals."""
