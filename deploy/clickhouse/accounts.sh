#!/bin/bash
# Makes the two accounts of docker-compose.yml, with the rights of accounts.sql. The ClickHouse image
# runs it when its data directory is new. For one that exists, and after a password has changed:
#
#     docker compose exec clickhouse bash /docker-entrypoint-initdb.d/accounts.sh
#
# It acts as `default`, who can log in from inside the container only (admin.xml).
set -euo pipefail

literal() { # a string literal of SQL
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\\\'}"
}

name() { # an identifier of SQL
    local text=${1//\\/\\\\}
    printf '`%s`' "${text//\`/\\\`}"
}

{
    sed -e "s/\bretail_pro\.\*/$(name "$PIPELINE_LANDING_DATABASE").*/" \
        -e "s/\bretail\.\([a-z_]*\|\*\)/$(name "$PIPELINE_DATABASE").\1/" \
        "${ACCOUNTS_SQL:-/accounts.sql}"
    for account in sync docs; do
        user=PIPELINE_${account^^}_USER file=PIPELINE_${account^^}_PASSWORD_FILE
        user=$(name "${!user}") password=$(<"${!file}")
        echo "create user if not exists $user default role none;"
        echo "alter user $user identified by $(literal "$password");"
        echo "grant retail_pro_$account to $user;"
        echo "alter user $user default role all;"
    done
} | clickhouse client --host 127.0.0.1 --user default
