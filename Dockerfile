# The dashboard and the worker, as a user who may write to /data, /backups and /tmp and nowhere else.
# docker build --tag cryptosatx . ; docs/operating.md says how to run it.

FROM python:3.11-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
WORKDIR /build
COPY requirements.txt requirements.lock ./
RUN /opt/venv/bin/pip install --only-binary=:all: --constraint requirements.lock --requirement requirements.txt

FROM python:3.11-slim-trixie
# pg_dump and pg_restore make and bring back backups; they have to be as new as the server.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /tmp --shell /usr/sbin/nologin cryptosatx \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data /backups
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY LICENSE pyproject.toml requirements.txt requirements.lock app.py ./
COPY .streamlit/config.toml .streamlit/config.toml
COPY core core
COPY pages pages
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    CRYPTOSATX_DATA=/data \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501
RUN python -m compileall -q core pages app.py
USER 10001:10001
VOLUME ["/data", "/backups"]
EXPOSE 8501
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/health', timeout=4)"]
CMD ["streamlit", "run", "app.py"]
