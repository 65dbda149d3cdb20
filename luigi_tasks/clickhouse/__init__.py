"""The way to ClickHouse: client, named queries, cluster, and what its errors mean."""
