# One image for the whole deployment: code location, web server, daemon, run pods (which are the Spark drivers) and
# Spark executors. So what computes a row is always what will read it, and a rollback is one tag.
#
#   docker build --tag novoic-assets:0.1.0 .

# Debian has Python 3.11 and Java 17. A tag moves with Debian's security updates; who wants the same base for ever
# builds with --build-arg BASE=debian:bookworm-slim@sha256:…
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS runtime
# ca-certificates: to trust the bucket. tini: what runs as process 1 has to reap the workers that die, which Python and
# Java do not, and to pass on Kubernetes' SIGTERM. Java's package links its manual, whose folder slim images lack.
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
# The requirements first: they are a layer that changes seldom. Nothing is compiled, so that no compiler is needed here
# either; PySpark, which comes as a source archive alone, is Java and Python as they are.
COPY requirements-kubernetes.txt ./
RUN /opt/novoic/venv/bin/pip install --no-cache-dir --no-compile --only-binary :all: --no-binary pyspark \
      --require-hashes --requirement requirements-kubernetes.txt
COPY LICENSE README.md pyproject.toml ./
COPY novoic_assets novoic_assets
# Bytecode is made here, since nothing can be written where it runs. Its validity hangs on no file's time, which
# differs from build to build. pip and the build backend have no use at run time.
RUN /opt/novoic/venv/bin/pip install --no-cache-dir --no-compile --no-deps --no-build-isolation . \
 && /opt/novoic/venv/bin/pip uninstall --yes hatchling pip \
 && /opt/novoic/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/novoic/venv/lib \
 && ln -s venv/lib/python3.11/site-packages/pyspark /opt/novoic/spark

FROM runtime
LABEL org.opencontainers.image.title="novoic-assets" \
      org.opencontainers.image.description="Dagster assets that turn clinical speech sessions into training datasets" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# A fixed id, which the manifests name (runAsUser): by it Kubernetes knows that the user is not root.
RUN groupadd --gid 10001 novoic \
 && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /var/lib/novoic \
      --shell /usr/sbin/nologin novoic \
 && install --directory --owner=novoic --group=novoic --mode=0700 /var/lib/novoic
COPY --from=build /opt/novoic /opt/novoic
COPY --chmod=0755 deploy/image/entrypoint.sh /opt/novoic/entrypoint.sh
# The root file system may be read-only: what is written goes to /tmp and to /var/lib/novoic, both mounted.
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
