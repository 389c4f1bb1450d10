"""Request resources of a cluster for runs: the size of their pod, and the pool that keeps Spark runs apart.

On a laptop neither has an effect: Dagster starts no pod, and a pool without a limit delays no run.
"""

from typing import Any, Final

from novoic_assets.settings import settings

SPARK_POOL: Final = "spark"
_K8S_CONFIG: Final = "dagster-k8s/config"


def pod_size() -> dict[str, Any]:
    """Return the tag that sizes a pod for heavy work, read from the environment when the definitions load.

    The K8sRunLauncher reads it in a job's tags, for the pod of the whole run. The k8s_job_executor, which gives each
    step its own pod, reads it in an asset's `op_tags`. Memory has equal request and limit, so that a node never
    promises memory that it does not have. Processors have no limit: it would slow a run while others are idle.

    Raises:
        NovoicError: A setting cannot be read.
    """
    cpu, memory = settings().run_cpu, settings().run_memory
    resources = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
    return {_K8S_CONFIG: {"container_config": {"resources": resources}}}
