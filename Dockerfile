# One image for luigid, the scheduler and the docs site; docker-compose.yml chooses the command.
ARG PYTHON_VERSION=3.13.16-slim-trixie

FROM python:${PYTHON_VERSION} AS packages

COPY requirements.lock /tmp/requirements.lock
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement /tmp/requirements.lock


FROM python:${PYTHON_VERSION}

ENV PATH=/opt/venv/bin:$PATH \
    # `luigi` does not look for modules in the working directory.
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DBT_SEND_ANONYMOUS_USAGE_STATS=false \
    DO_NOT_TRACK=1 \
    HOME=/tmp \
    TZ=UTC

WORKDIR /app

# The directories that are written to exist beforehand: a new volume takes over their owner.
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin app \
    && mkdir --parents target logs /var/lib/luigi /srv/docs \
    && chown --recursive app:app target logs /var/lib/luigi /srv/docs

COPY --from=packages /opt/venv /opt/venv
COPY dbt_project.yml profiles.yml selectors.yml luigi.cfg ./
COPY dbt_project dbt_project
COPY macros macros
COPY seeds seeds
COPY tests/dbt tests/dbt
COPY luigi_tasks luigi_tasks
COPY deploy deploy

USER 10001:10001
