"""What runs ask of a cluster: the size of their pod, and the pool that keeps Spark runs apart.

On a laptop neither does anything: no pod is made, and a pool without a limit holds up nobody.
"""

import os
import re
from typing import Any, Final

from novoic_assets.errors import NovoicError

SPARK_POOL: Final = "spark"
_K8S_CONFIG: Final = "dagster-k8s/config"
_CPU: Final = "NOVOIC_RUN_CPU"
_MEMORY: Final = "NOVOIC_RUN_MEMORY"
# A decimal number and a suffix, as far as a processor or memory can be given in them. Source:
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITIES: Final = {
    _CPU: (re.compile(r"\d+m|\d+(\.\d+)?"), "1"),
    _MEMORY: (re.compile(r"\d+(\.\d+)?([KMGT]i|[kMGT])?"), "4Gi"),
}


def pod_size() -> dict[str, Any]:
    """The tag that sizes a pod for heavy work, read from the environment when the definitions load.

    The K8sRunLauncher reads it among a job's tags, for the pod of the whole run; the k8s_job_executor, for whoever
    gives each step a pod of its own, among an asset's `op_tags`. Memory is request and limit in one, so that a node
    never promises what it does not have; a processor has no limit, which would only slow what is idle elsewhere.

    Raises:
        NovoicError: NOVOIC_RUN_CPU or NOVOIC_RUN_MEMORY is no quantity of Kubernetes.
    """
    cpu, memory = _quantity(_CPU), _quantity(_MEMORY)
    resources = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
    return {_K8S_CONFIG: {"container_config": {"resources": resources}}}


def _quantity(name: str) -> str:
    pattern, default = _QUANTITIES[name]
    text = os.environ.get(name) or default
    if not pattern.fullmatch(text):
        raise NovoicError(f"{name} takes a quantity of Kubernetes, such as {default}")
    return text
