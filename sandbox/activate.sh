# .venv/bin/activate sources this in bash, zsh and other shells of their kind (`make setup` adds the
# line). It exports the password of the sandbox's ClickHouse, which dbt and luigi need by hand. It
# leaves a password of yours alone, also one in CLICKHOUSE_PASSWORD_FILE, and does nothing where
# CLICKHOUSE_HOST is another machine.

# An earlier activation may have exported one that is old by now.
if [ -n "${_SANDBOX_PASSWORD:-}" ] && [ "${CLICKHOUSE_PASSWORD:-}" = "$_SANDBOX_PASSWORD" ]; then
    unset CLICKHOUSE_PASSWORD
fi
unset _SANDBOX_PASSWORD

_SANDBOX_FILE=${SANDBOX_DIR:-$VIRTUAL_ENV/../.sandbox}/clickhouse/password
case ${CLICKHOUSE_HOST:-127.0.0.1} in
127.0.0.1 | localhost | ::1)
    if [ -z "${CLICKHOUSE_PASSWORD:-}${CLICKHOUSE_PASSWORD_FILE:-}" ] && [ -r "$_SANDBOX_FILE" ]; then
        _SANDBOX_PASSWORD=$(cat "$_SANDBOX_FILE")
        CLICKHOUSE_PASSWORD=$_SANDBOX_PASSWORD
        export CLICKHOUSE_PASSWORD
    fi
    ;;
esac
unset _SANDBOX_FILE

# `deactivate` takes it back. A shell that cannot copy a function keeps it until it ends.
if [ -n "${_SANDBOX_PASSWORD:-}" ] && typeset -f deactivate >/dev/null 2>&1; then
    eval "_venv_$(typeset -f deactivate)"
    deactivate() {
        if [ "${CLICKHOUSE_PASSWORD:-}" = "${_SANDBOX_PASSWORD:-}" ]; then
            unset CLICKHOUSE_PASSWORD
        fi
        unset _SANDBOX_PASSWORD
        _venv_deactivate "$@"
        unset -f _venv_deactivate
    }
fi
