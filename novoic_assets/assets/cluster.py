"""What runs ask of a cluster: the size of their pod, and the pool that keeps Spark runs apart.

On a laptop neither does anything: no pod is made, and a pool without a limit holds up nobody.
"""

from typing import Any, Final

from novoic_assets.settings import settings

SPARK_POOL: Final = "spark"
_K8S_CONFIG: Final = "dagster-k8s/config"


def pod_size() -> dict[str, Any]:
    """The tag that sizes a pod for heavy work, read from the environment when the definitions load.

    The K8sRunLauncher reads it among a job's tags, for the pod of the whole run; the k8s_job_executor, for whoever
    gives each step a pod of its own, among an asset's `op_tags`. Memory is request and limit in one, so that a node
    never promises what it does not have; a processor has no limit, which would only slow what is idle elsewhere.

    Raises:
        NovoicError: A setting cannot be read.
    """
    cpu, memory = settings().run_cpu, settings().run_memory
    resources = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
    return {_K8S_CONFIG: {"container_config": {"resources": resources}}}
