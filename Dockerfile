# The controller as one container, beside the host's Docker. It needs what the systemd unit gives it:
#   docker run -d --name edge-controller --restart unless-stopped --network host --pid host --cgroupns host \
#     --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW --cap-add SYS_ADMIN --cap-add SYS_PTRACE \
#     --cap-add DAC_OVERRIDE --cap-add DAC_READ_SEARCH --security-opt apparmor=unconfined \
#     -v /var/run:/var/run -v /sys/fs/cgroup:/sys/fs/cgroup:ro \
#     -v /var/lib/edge-controller:/var/lib/edge-controller -v ~/.mtls:/root/.mtls:ro edge-controller
# /var/run is mounted as a folder: a restart of dockerd makes a new socket in it.
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md ./
COPY controller controller
RUN python -m venv /opt/edge-controller && /opt/edge-controller/bin/pip install --no-cache-dir .

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends iproute2 util-linux \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/edge-controller /opt/edge-controller
ENV PATH=/opt/edge-controller/bin:$PATH PYTHONUNBUFFERED=1
VOLUME /var/lib/edge-controller
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9402/healthz', timeout=3)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["edge-controller"]
CMD ["run"]
