"""Starts ministack, whose policy check lacks condition keys that template.yaml relies on, and adds them:

- `dynamodb:LeadingKeys`: the partition keys that a request names,
- `kms:EncryptionContext:<name>` and `kms:EncryptionContextKeys`.

Requests count as sent over TLS: they stay on this machine, and the queues' policy refuses all others.

With JOURNAL=FILE each decision under AUTH=true becomes a line of JSON there: who, what, on what, with which partition keys,
and whether it was allowed. scripts/permissions.py reads them.
"""

import json
import os
import re
import sys

from ministack import app
from ministack.core import iam_actions, iam_evaluator

LEADING_KEYS, CONTEXT = "dynamodb:LeadingKeys", "kms:EncryptionContext"


def partition(item):
    """The partition key of an item or a key, in DynamoDB's JSON."""
    value = item.get("pk") or {}
    return next(iter(value.values()), None)


def leading_keys(body):
    """The values of the partition key that a request of DynamoDB names; none for a scan."""
    found = [partition(body[name]) for name in ("Key", "Item") if name in body]
    for requests in body.get("RequestItems", {}).values():
        keys = requests.get("Keys", []) if isinstance(requests, dict) else [
            request[kind][part] for request in requests
            for kind, part in (("PutRequest", "Item"), ("DeleteRequest", "Key")) if kind in request]
        found += map(partition, keys)
    for write in body.get("TransactItems", []):
        found += [partition(it.get("Item") or it.get("Key") or {}) for it in write.values()]
    # A query states its partition key first: `#pk = :pk`.
    if match := re.match(r"\s*\S+\s*=\s*(:\w+)", body.get("KeyConditionExpression", "")):
        found += body.get("ExpressionAttributeValues", {}).get(match[1], {}).values()
    return [str(key) for key in found if key is not None]


def conditions(service, body):
    try:
        body = json.loads(body or b"{}")
    except (ValueError, UnicodeDecodeError):
        return {}
    if service == "dynamodb":
        keys = leading_keys(body)
        return {LEADING_KEYS: keys} if keys else {}
    if service == "kms" and (context := body.get("EncryptionContext")):
        return {CONTEXT + "Keys": list(context)} | {f"{CONTEXT}:{name}": value for name, value in context.items()}
    return {}


def add_conditions():
    known = iam_actions.request_tag_context

    def request_tag_context(service, iam_action, body, params):
        return {**known(service, iam_action, body, params), **conditions(service, body)}

    iam_actions.request_tag_context = request_tag_context


def count_as_tls():
    pin = app.pin_request_origin
    app.pin_request_origin = lambda source_ip, _secure_transport: pin(source_ip, True)


def keep_journal(path):
    enforce = iam_evaluator.enforce

    def enforced(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
        # IAM has no actions for batches: who may send a message may send ten ("Amazon SQS API permissions").
        if service == "sqs" or iam_action.startswith("sqs:"):
            iam_action = iam_action.removesuffix("Batch")
        denied = enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
        line = {"who": iam_evaluator.caller_arn(), "action": iam_action, "on": resource_arn, "allowed": denied is None,
                "keys": (service_context or {}).get(LEADING_KEYS, [])}
        with open(path, "a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")
        return denied

    iam_evaluator.enforce = enforced


if __name__ == "__main__":
    add_conditions()
    count_as_tls()
    if os.environ.get("JOURNAL"):
        keep_journal(os.environ["JOURNAL"])
    sys.exit(app.main())
