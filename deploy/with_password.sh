#!/bin/sh
# Run a command with CLICKHOUSE_PASSWORD from the file that CLICKHOUSE_PASSWORD_FILE names. For dbt,
# which reads the variable and not the file; the sync and its tasks need no help.
#
#     deploy/with_password.sh dbt run-operation reconcile
set -eu
if [ -n "${CLICKHOUSE_PASSWORD_FILE:-}" ]; then
    CLICKHOUSE_PASSWORD=$(cat "$CLICKHOUSE_PASSWORD_FILE")
    export CLICKHOUSE_PASSWORD
    unset CLICKHOUSE_PASSWORD_FILE
fi
exec "$@"
