"""A Deployment, or a CronJob for what has a schedule: apps/v1 and batch/v1 of Kubernetes."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ..config import schedule
from ..errors import UsageError
from .plan import Plan, not_read

# Only process 1 of a container gets TERM, whatever is wanted.
_KEPT = frozenset(("grace", "signal_to", "restart", "backoff", "max_memory", "slots"))
_JOB_KEPT = _KEPT | {"timeout"}

_FOR_EVER = 1_000_000  # a lifeline never gives up

GAINS = (
    "it moves to another node when its own fails",
    "it is rolled out, limited and watched like everything else in the cluster",
)
LOSES = (
    "never two: replicas: 1 is no mutual exclusion; while a node is cut off, two can run "
    "(keep --lock, and its fence, where that matters)",
    "hold, explain and the history; kubectl scale --replicas=0 is the hold",
)
JOB_GAINS = (
    "it runs on whatever node there is",
    "it is limited and watched like everything else in the cluster",
)
JOB_LOSES = (
    "never two: Forbid is meant so, but Kubernetes asks for jobs that can bear to be started twice "
    "(keep --lock, and its fence, where that matters)",
    "hold, explain and the history; suspend: true is the hold",
)


def manifest(plan: Plan, image: str) -> str:
    """The object as YAML: each value is written as JSON, which YAML contains."""
    body = _cron_job(plan, image) if plan.is_scheduled else _deployment(plan, image)
    return "".join(f"# {line}\n" for line in notes(plan)) + _yaml(body) + "\n"


def notes(plan: Plan) -> list[str]:
    """What is gained and what is lost, one sentence each."""
    kind, gains, loses, kept = "Deployment", GAINS, LOSES, _KEPT
    if plan.is_scheduled:
        kind, gains, loses, kept = "CronJob", JOB_GAINS, JOB_LOSES, _JOB_KEPT
    found = [f"{plan.name}, from {plan.source}, as a {kind}: kubectl apply -f"]
    found += [f"gained: {each}" for each in gains]
    found += [f"lost: {each}" for each in loses]
    given = plan.given - ({"lock", "wait", "ttl", "per_host"} if "lock" in plan.given else set())
    if lost := sorted(name.replace("_", "-") for name in given - kept - {"name", "lock"}):
        found.append(f"lost: no equivalent of {', '.join(lost)}")
    if "lock" in plan.given:
        found.append("left out: the lock; to keep it, let the image run: lifeline run --lock …")
    found.append(f"to see to: the image has its program, and the directory {plan.directory}")
    if plan.is_scheduled:
        found.append("to see to: its hours are those of the cluster, unless you add timeZone")
    if plan.env_files:
        secret = object_name(plan.name)
        found.append(
            f"make its secret first: kubectl create secret generic {secret} --from-env-file=FILE"
        )
        found.append("to see to: kubectl takes the quotes in an env_file for a part of the value")
    found += not_read(plan, "kubectl")
    return found


def object_name(name: str) -> str:
    """`name` as a DNS label (RFC 1123), which names of objects have to be."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:52].strip("-")
    return label or "lifeline"


def _deployment(plan: Plan, image: str) -> dict[str, Any]:
    name = object_name(plan.name)
    labels = {"app.kubernetes.io/name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": plan.options.slots,
            "strategy": {"type": "Recreate"},  # the old one ends before the new one starts
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod(plan, image, "Always")},
        },
    }


def _cron_job(plan: Plan, image: str) -> dict[str, Any]:
    name = object_name(plan.name)
    if plan.fields == schedule.AT_BOOT:
        raise UsageError(f"{plan.name}: a CronJob has no {plan.fields}")
    again = plan.options.restart != "never"
    job: dict[str, Any] = {"backoffLimit": _FOR_EVER if again else 0}
    if plan.options.timeout is not None:
        job["activeDeadlineSeconds"] = math.ceil(plan.options.timeout)
    job["template"] = {"spec": _pod(plan, image, "OnFailure" if again else "Never")}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "schedule": plan.fields,
            "concurrencyPolicy": "Forbid",  # exactly one at a time
            "jobTemplate": {"spec": job},
        },
    }


def _pod(plan: Plan, image: str, restart: str) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": object_name(plan.name),
        "image": image,
        "command": [_literal(word) for word in plan.command],
        "workingDir": plan.directory,
    }
    if plan.variables:
        container["env"] = [
            {"name": name, "value": _literal(value)} for name, value in plan.variables.items()
        ]
    if plan.env_files:
        container["envFrom"] = [{"secretRef": {"name": object_name(plan.name)}}]
    if plan.options.max_memory is not None:
        container["resources"] = {"limits": {"memory": str(plan.options.max_memory)}}
    return {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": math.ceil(plan.options.grace),
        "containers": [container],
    }


def _literal(text: str) -> str:
    """`$(NAME)` would be expanded by Kubernetes."""
    return text.replace("$(", "$$(")


def _yaml(value: Any, indent: int = 0) -> str:
    """Mappings and lists in blocks, everything else as JSON."""
    lead = " " * indent
    if isinstance(value, dict):
        lines = []
        for key, each in value.items():
            nested = isinstance(each, (dict, list)) and each
            text = "\n" + _yaml(each, indent + 2) if nested else " " + json.dumps(each)
            lines.append(f"{lead}{key}:{text}")
        return "\n".join(lines)
    return "\n".join(_yaml_item(each, indent) for each in value)


def _yaml_item(value: Any, indent: int) -> str:
    text = _yaml(value, indent + 2).lstrip() if isinstance(value, dict) else json.dumps(value)
    return f"{' ' * indent}- {text}"
