# One image for all pods: code location, web server, daemon, run pods (the Spark drivers) and Spark executors. So the
# code that computes a row is the code that reads it, and a rollback is one tag.
#
#   docker build --tag novoic-assets:0.1.0 .

# Debian has Python 3.11 and Java 17. The tag moves with Debian's security updates. For a base that never moves, build
# with --build-arg BASE=debian:bookworm-slim@sha256:…
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS runtime
# ca-certificates: to trust the bucket. tini: process 1 must reap workers that die, which Python and Java do not, and
# pass on Kubernetes' SIGTERM. man1: Java's package links its manual there, and slim images lack the folder.
# hadolint ignore=DL3008
RUN mkdir --parents /usr/share/man/man1 \
 && apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates openjdk-17-jre-headless python3 tini \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/*

FROM runtime AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && python3 -m venv /opt/novoic/venv
WORKDIR /src
# The requirements come first: their layer seldom changes. Nothing is compiled, so no compiler is needed; PySpark has a
# source archive only, which holds Java and Python as they are.
COPY requirements-kubernetes.txt ./
RUN /opt/novoic/venv/bin/pip install --no-cache-dir --no-compile --only-binary :all: --no-binary pyspark \
      --require-hashes --requirement requirements-kubernetes.txt
COPY LICENSE README.md pyproject.toml ./
COPY novoic_assets novoic_assets
# Compile to bytecode here, since containers cannot write it. It does not depend on file times, which differ from build
# to build. pip and the build backend have no use at run time.
RUN /opt/novoic/venv/bin/pip install --no-cache-dir --no-compile --no-deps --no-build-isolation . \
 && /opt/novoic/venv/bin/pip uninstall --yes hatchling pip \
 && /opt/novoic/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/novoic/venv/lib \
 && ln -s venv/lib/python3.11/site-packages/pyspark /opt/novoic/spark

FROM runtime
LABEL org.opencontainers.image.title="novoic-assets" \
      org.opencontainers.image.description="Dagster assets that turn clinical speech sessions into training datasets" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# A fixed id, which the manifests name (runAsUser): it shows Kubernetes that the user is not root.
RUN groupadd --gid 10001 novoic \
 && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /var/lib/novoic \
      --shell /usr/sbin/nologin novoic \
 && install --directory --owner=novoic --group=novoic --mode=0700 /var/lib/novoic
COPY --from=build /opt/novoic /opt/novoic
COPY --chmod=0755 deploy/image/entrypoint.sh /opt/novoic/entrypoint.sh
# The root file system may be read-only: containers write to /tmp and /var/lib/novoic, both mounted.
ENV HOME=/var/lib/novoic \
    LANG=C.UTF-8 \
    PATH=/opt/novoic/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYSPARK_PYTHON=/opt/novoic/venv/bin/python \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SPARK_HOME=/opt/novoic/spark \
    SPARK_LOCAL_DIRS=/var/lib/novoic
USER 10001:10001
WORKDIR /var/lib/novoic
ENTRYPOINT ["/usr/bin/tini", "--", "/opt/novoic/entrypoint.sh"]
CMD ["novoic", "--help"]
