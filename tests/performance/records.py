"""What the refresh benchmark has in its DynamoDB API: apps, tokens that are due, and many more that are not."""

import concurrent.futures
import json
import os
import subprocess
import time
import urllib.parse
import urllib.request

import boto3
import botocore.config

from lambda_function import TARGET

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
BATCH_WRITE, BATCH_GET = 25, 100
SHARDS = 16
WRITERS = 4
HOUR_MS = 3_600_000
TENANT_TOKEN = "tenant#"


class Records:
    def __init__(self, environment):
        self.environment = environment
        self.endpoint = environment["AWS_ENDPOINT_URL"]
        self.table = environment["LARK_SERVICE_TOKENS_TABLE"]
        self.dynamodb = boto3.client("dynamodb", endpoint_url=self.endpoint,
                                     config=botocore.config.Config(max_pool_connections=WRITERS))

    def seed(self, app_ids):
        """Registers the apps; the first token of each is due."""
        apps = [{"app_id": app_id, "secret": f"secret-{app_id}"} for app_id in app_ids]
        subprocess.run([TARGET / "local" / "lark-service", "seed"], input=json.dumps({"apps": apps}).encode(),
                       env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def add_far(self, count):
        """Tokens of `count` other apps, with everything that a token's record has, due in one to two hours."""
        now = now_ms()
        self._write(put(
            f"cli_far{number:06}", TENANT_TOKEN, number, now + HOUR_MS + number * HOUR_MS // count,
            value={"B": os.urandom(90)},
            secret_fingerprint={"S": os.urandom(16).hex()},
            issued_at={"N": str(now)},
            expires_at={"N": str(now + 3 * HOUR_MS)},
        ) for number in range(count))

    def add_due(self, app_id, count):
        """Tokens of `app_id` for `count` tenants that have not been fetched yet, due longer than anything else."""
        due_at = now_ms() - HOUR_MS
        self._write(put(app_id, tenant_sort(number), number, due_at + number) for number in range(count))

    def remove_due(self, app_id, count):
        """What `add_due` and `seed` added."""
        sorts = [TENANT_TOKEN, *(tenant_sort(number) for number in range(count))]
        self._write({"DeleteRequest": {"Key": {"pk": {"S": partition(app_id)}, "sk": {"S": sort}}}} for sort in sorts)

    def _write(self, writes):
        writes = list(writes)
        batches = [writes[at:at + BATCH_WRITE] for at in range(0, len(writes), BATCH_WRITE)]
        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            for answer in pool.map(lambda batch: self.dynamodb.batch_write_item(RequestItems={self.table: batch}), batches):
                if answer.get("UnprocessedItems"):
                    raise SystemExit("the DynamoDB API did not take all records")

    def stored(self, app_ids):
        """Those whose tokens are in the store, with nobody renewing them."""
        found = set()
        keys = [{"pk": {"S": partition(app_id)}, "sk": {"S": TENANT_TOKEN}} for app_id in app_ids]
        for at in range(0, len(keys), BATCH_GET):
            answer = self.dynamodb.batch_get_item(RequestItems={self.table: {"Keys": keys[at:at + BATCH_GET]}})
            if answer.get("UnprocessedKeys"):
                raise SystemExit("the DynamoDB API did not answer all keys")
            found |= {item["pk"]["S"].partition("#")[2] for item in answer["Responses"][self.table] if "value" in item and "leased_until" not in item}
        return found

    def count(self):
        """How many records the table of tokens has."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table, Select="COUNT")
        return sum(page["Count"] for page in pages)

    def requests(self):
        """The requests since the last reset, by operation."""
        with DIRECT.open(urllib.parse.urljoin(self.endpoint, "/_count"), timeout=30) as response:
            return json.load(response)

    def reset_requests(self):
        url = urllib.parse.urljoin(self.endpoint, "/_count")
        DIRECT.open(urllib.request.Request(url, method="POST"), timeout=30).close()


def put(app_id, sort, number, due_at, **attributes):
    return {"PutRequest": {"Item": {
        "pk": {"S": partition(app_id)}, "sk": {"S": sort}, "version": {"N": "1"}, "due_shard": {"N": str(number % SHARDS)},
        "due_at": {"N": str(due_at)}, **attributes}}}


def partition(app_id):
    """Where an app's tokens for tenants are."""
    return f"tenant#{app_id}"


def tenant_sort(number):
    return f"{TENANT_TOKEN}tenant{number:06}"


def now_ms():
    return time.time_ns() // 1_000_000
