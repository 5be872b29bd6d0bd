# AccountSync on the official Airflow image. No compiler, no root at run time.
# Behind mirrors: --build-arg AIRFLOW_IMAGE=... --build-arg PIP_INDEX_URL=...
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11
FROM ${AIRFLOW_IMAGE}
USER airflow

# The whole lock, hashes checked. pip leaves alone what the image has in the locked version and
# installs the rest. The constraint repeats the image's Airflow: a lock that would move it fails.
ARG PIP_INDEX_URL
COPY --chown=airflow:0 requirements.txt ${AIRFLOW_HOME}/requirements.txt
RUN printf 'apache-airflow==%s\n' "${AIRFLOW_VERSION}" > /tmp/airflow.txt \
    && pip install --no-cache-dir --require-hashes --only-binary=:all: \
        --requirement "${AIRFLOW_HOME}/requirements.txt" --constraint /tmp/airflow.txt \
    && rm /tmp/airflow.txt

# The official image ships without .pyc files; with them Airflow starts three times as fast. Files
# that do not compile (templates of providers we do not use) are none of our business.
RUN python -m compileall -q -j 0 "${VIRTUAL_ENV}"/lib/python3.*/site-packages/airflow || true

COPY --chown=airflow:0 dags/ ${AIRFLOW_HOME}/dags/
COPY --chown=airflow:0 plugins/ ${AIRFLOW_HOME}/plugins/
COPY --chown=airflow:0 config/ ${AIRFLOW_HOME}/config/
RUN python -m compileall -q "${AIRFLOW_HOME}/dags" "${AIRFLOW_HOME}/plugins"

# The library lies in plugins/, where Airflow's own loader sees one file only (.airflowignore).
ENV PYTHONPATH=${AIRFLOW_HOME}/plugins \
    ACCOUNTSYNC_CONFIG=${AIRFLOW_HOME}/config/accountsync.yaml
