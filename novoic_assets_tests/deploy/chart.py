"""The part of the official chart's output for helm-values.yaml on which this project depends.

The chart is not part of this repository. These functions follow its templates (configmap-instance.yaml and the helpers
of the run launcher); `make helm-template` renders the real chart and compares.
"""

from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
VALUES = REPOSITORY / "helm-values.yaml"
RELEASE = "novoic"
NAMESPACE = "novoic"
CODE_LOCATION = "novoic-assets"
PASSWORD = "DAGSTER_PG_PASSWORD"

Values = dict[str, Any]


def load_values() -> Values:
    """The values of helm-values.yaml, with anchors resolved."""
    values: Values = yaml.safe_load(VALUES.read_text())
    return values


def image(values: Values) -> str:
    """The image of the code location; the chart also passes it as DAGSTER_CURRENT_IMAGE."""
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    return f"{deployment['image']['repository']}:{deployment['image']['tag']}"


def instance_config(values: Values) -> dict[str, Any]:
    """The dagster.yaml that the chart mounts in every pod that has an instance."""
    daemon = values["dagsterDaemon"]
    monitoring, retries = daemon["runMonitoring"], daemon["runRetries"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    logs = values["computeLogManager"]["config"]["s3ComputeLogManager"]
    pools, runs = values["concurrency"]["pools"], values["concurrency"]["runs"]
    return {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        "schedule_storage": _storage("dagster_postgres.schedule_storage", "PostgresScheduleStorage", values),
        "run_storage": _storage("dagster_postgres.run_storage", "PostgresRunStorage", values),
        "event_log_storage": _storage("dagster_postgres.event_log", "PostgresEventLogStorage", values),
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": _run_launcher(values)},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {"dequeue_interval_seconds": queue["dequeueIntervalSeconds"]},
        },
        "compute_logs": {
            "module": "dagster_aws.s3.compute_log_manager",
            "class": "S3ComputeLogManager",
            "config": {
                "bucket": logs["bucket"],
                "prefix": logs["prefix"],
                "local_dir": logs["localDir"],
                "region": logs["region"],
                "skip_empty_files": logs["skipEmptyFiles"],
                "upload_interval": logs["uploadInterval"],
            },
        },
        "concurrency": {
            "pools": {"default_limit": pools["defaultLimit"], "granularity": pools["granularity"]},
            "runs": {"max_concurrent_runs": runs["maxConcurrentRuns"]},
        },
        "run_monitoring": {
            "enabled": monitoring["enabled"],
            "start_timeout_seconds": monitoring["startTimeoutSeconds"],
            "cancel_timeout_seconds": monitoring["cancelTimeoutSeconds"],
            "max_resume_run_attempts": monitoring["maxResumeRunAttempts"],
            "poll_interval_seconds": monitoring["pollIntervalSeconds"],
            "free_slots_after_run_end_seconds": monitoring["freeSlotsAfterRunEndSeconds"],
        },
        "run_retries": {
            "enabled": retries["enabled"],
            "max_retries": retries["maxRetries"],
            "retry_on_asset_or_op_failure": retries["retryOnAssetOrOpFailure"],
        },
        "sensors": _threads(daemon["sensors"]),
        "schedules": _threads(daemon["schedules"]),
        "telemetry": values["telemetry"],
        "retention": {
            kind: {"purge_after_days": values["retention"][kind]["purgeAfterDays"]} for kind in ("sensor", "schedule")
        },
        **values["additionalInstanceConfig"],
    }


def _storage(module: str, kind: str, values: Values) -> dict[str, Any]:
    postgresql = values["postgresql"]
    database = {
        "username": postgresql["postgresqlUsername"],
        "password": {"env": PASSWORD},
        "hostname": postgresql["postgresqlHost"],
        "db_name": postgresql["postgresqlDatabase"],
        "port": postgresql["service"]["port"],
        "params": postgresql["postgresqlParams"],
        "scheme": postgresql["postgresqlScheme"],
    }
    return {"module": module, "class": kind, "config": {"postgres_db": database}}


def _run_launcher(values: Values) -> dict[str, Any]:
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    k8s = launcher["runK8sConfig"]
    return {
        "load_incluster_config": launcher["loadInclusterConfig"],
        "job_namespace": NAMESPACE,
        "image_pull_policy": launcher["imagePullPolicy"],
        **({"image_pull_secrets": values["imagePullSecrets"]} if values["imagePullSecrets"] else {}),
        "service_account_name": values["serviceAccount"]["name"],
        "dagster_home": values["global"]["dagsterHome"],
        "instance_config_map": f"{RELEASE}-dagster-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "env_config_maps": [entry["name"] for entry in launcher["envConfigMaps"]],
        "env_secrets": [entry["name"] for entry in launcher["envSecrets"]],
        "volume_mounts": launcher["volumeMounts"],
        "volumes": launcher["volumes"],
        "resources": launcher["resources"],
        "fail_pod_on_run_failure": launcher["failPodOnRunFailure"],
        "security_context": launcher["securityContext"],
        "run_k8s_config": {
            "container_config": k8s["containerConfig"],
            "pod_spec_config": k8s["podSpecConfig"],
            "pod_template_spec_metadata": k8s["podTemplateSpecMetadata"],
            "job_spec_config": k8s["jobSpecConfig"],
        },
    }


def _threads(section: dict[str, Any]) -> dict[str, Any]:
    return {"use_threads": section["useThreads"], "num_workers": section["numWorkers"]}
