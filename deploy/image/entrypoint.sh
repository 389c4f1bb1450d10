#!/bin/bash
# Start the process of a container of this image.
#
#   executor   a Spark executor: Spark on Kubernetes gives this argument, and the rest in environment variables
#   driver …   a Spark driver in a pod of its own (spark-submit --deploy-mode cluster), with spark-submit's arguments
#   anything else is a command: dagster, dagster-webserver, novoic, a shell
#
# This script writes no file, since the root file system may be read-only.
set -euo pipefail

needed() {
  for name in "$@"; do
    if [[ -z "${!name:-}" ]]; then
      echo "entrypoint: $name is not set; the driver sets it in the pods that it makes" >&2
      exit 2
    fi
  done
}

case "${1:-}" in
  executor)
    needed SPARK_HOME SPARK_DRIVER_URL SPARK_EXECUTOR_ID SPARK_EXECUTOR_CORES SPARK_EXECUTOR_MEMORY \
      SPARK_APPLICATION_ID SPARK_EXECUTOR_POD_IP SPARK_EXECUTOR_POD_NAME SPARK_RESOURCE_PROFILE_ID
    # Java's options come in numbered variables, and their order counts: a later one replaces an earlier one.
    java_options=()
    while read -r name; do
      java_options+=("${!name}")
    done < <(compgen -e SPARK_JAVA_OPT_ | sort --field-separator=_ --key=4 --numeric-sort)
    classpath="${SPARK_CONF_DIR:-$SPARK_HOME/conf}:${SPARK_CLASSPATH:+$SPARK_CLASSPATH:}$SPARK_HOME/jars/*"
    exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" "${java_options[@]}" \
      "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp "$classpath" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" \
      --executor-id "$SPARK_EXECUTOR_ID" \
      --cores "$SPARK_EXECUTOR_CORES" \
      --app-id "$SPARK_APPLICATION_ID" \
      --hostname "$SPARK_EXECUTOR_POD_IP" \
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \
      --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
  driver)
    needed SPARK_HOME SPARK_DRIVER_BIND_ADDRESS
    shift
    exec "$SPARK_HOME/bin/spark-submit" --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
      --deploy-mode client "$@"
    ;;
  "")
    echo "entrypoint: give a command, such as novoic --help" >&2
    exit 2
    ;;
  *)
    exec "$@"
    ;;
esac
