# The controller's image, for use beside a host's Docker (manifests/docker/compose.yaml, README) or in a cluster
# (helm/edge-controller). All packages are pinned by the lock files; see docs/decisions/122-the-image.md.
#   docker build -t edge-controller .
# BASE is any image with Python 3.11 and pip; name it by digest for a reproducible build.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS base
RUN command -v nsenter >/dev/null \
    || (apt-get update && apt-get install -y --no-install-recommends util-linux && rm -rf /var/lib/apt/lists/*)

FROM base AS build
# Wheels in a folder wheels/ of the context are preferred to the package index; scripts/wheels.sh fills one.
COPY requirements.lock requirements-build.lock wheel[s] /wheels/
ARG PIP_NO_INDEX=
ENV SOURCE_DATE_EPOCH=315532800 PYTHONDONTWRITEBYTECODE=1 PIP_FIND_LINKS=/wheels PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv --without-pip /opt/edge-controller && python -m venv --without-pip /build \
    && python -m pip --python /opt/edge-controller/bin/python install --quiet --no-compile --no-deps --require-hashes \
        --only-binary :all: -r /wheels/requirements.lock \
    && python -m pip --python /build/bin/python install --quiet --require-hashes -r /wheels/requirements-build.lock
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY controller controller
COPY scripts/sbom.py scripts/sbom.py
# Without most of the kubernetes package (100 MB): it loads models and APIs on demand, and we use neither.
# Hash-based .pyc files and fixed timestamps, so that the same sources give the same bytes.
RUN python -m pip --python /build/bin/python wheel --quiet --no-deps --no-build-isolation \
        --wheel-dir /own . \
    && python -m pip --python /opt/edge-controller/bin/python install --quiet --no-compile --no-deps \
        --no-index /own/*.whl \
    && rm -r /opt/edge-controller/lib/python3*/site-packages/kubernetes/aio \
    && find /opt/edge-controller/lib/python3*/site-packages/kubernetes/client/api \
        /opt/edge-controller/lib/python3*/site-packages/kubernetes/client/models -name "*.py" ! -name __init__.py -exec rm {} + \
    && /opt/edge-controller/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/edge-controller/lib \
    && /opt/edge-controller/bin/python scripts/sbom.py /opt/edge-controller/share \
    && mkdir -p /tree/opt && mv /opt/edge-controller /tree/opt/ \
    && find /tree -exec touch -h -d "1980-01-01 00:00:00" {} +

FROM base
COPY --from=build /tree /
ENV PATH=/opt/edge-controller/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONUNBUFFERED=1
VOLUME /var/lib/edge-controller
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; \
r.urlopen('http://' + os.environ.get('EDGE_HTTP_LISTEN', '127.0.0.1:9402') + '/healthz', timeout=3)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["edge-controller"]
CMD ["run"]
