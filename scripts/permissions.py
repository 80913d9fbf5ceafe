"""What each function may do in AWS. Everything else that `operations` lists it must not be able to do.

    permissions.py                        evaluates template.yaml's policies, without any server
    permissions.py STACK                  as each function of a stack in the emulator, tries every operation
    permissions.py STACK --used JOURNAL   finds what functions may do and did not do (see ministack_conditions.py)

An operation that is tried changes nothing where it is allowed: its condition never holds, or there is no such record.
"""

import argparse
import collections
import dataclasses
import json
import re
import sys

import template

VERBS = {"get": "GetItem", "batch-get": "BatchGetItem", "query": "Query", "put": "PutItem", "delete": "DeleteItem",
         "update": "UpdateItem", "batch-write": "BatchWriteItem", "check": "ConditionCheckItem"}
# The partitions of each table; `record` are those without a prefix.
PLACES = {
    "TokensTable": ["tenant#", "app#", "user#", "login#"],
    "AppsTable": ["record", "listed", "ticket#", "usage#", "change#"],
    "ApiKeysTable": ["record", "listed", "used#", "callback#", "change#"],
    "DirectoryTable": ["record"],
    "DataKeysTable": ["keyring", "record"],
    "MessageJobsTable": ["job#", "batch#", "sent#", "once#", "dead#"],
}
OF_TABLES = ["Scan", "DescribeTable", "DeleteTable", "UpdateTable", "UpdateTimeToLive", "CreateBackup"]
OF_KEYS = ["Decrypt", "GenerateDataKey", "Encrypt", "ScheduleKeyDeletion", "PutKeyPolicy", "DisableKey"]
QUEUES = ["NormalQueue", "BulkQueue", "NormalDeadLetterQueue", "BulkDeadLetterQueue"]
OF_QUEUES = ["SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes", "PurgeQueue",
             "DeleteQueue", "SetQueueAttributes", "AddPermission", "StartMessageMoveTask"]
OF_OBJECTS = ["GetObject", "PutObject", "DeleteObject"]
RIGHT_CONTEXT = "service=lark-service"

# Each line: verbs, a table, its partitions; or an operation as `operations` names it.
OPEN = ["get DataKeysTable keyring", f"kms:Decrypt {RIGHT_CONTEXT}"]
CACHE = ["cache:Connect CacheUser", "cache:ReadUrl"]
READ_APPS = ["get AppsTable record"]
TOKENS = [*READ_APPS, "get AppsTable ticket#", "get put TokensTable tenant# app#"]
LOGINS = ["get put TokensTable user#"]
# The gateway remembers that a key was accepted; whoever answers asks whether it still is.
KEY = ["get ApiKeysTable record"]
DIRECTORY = [*OPEN, *CACHE, *TOKENS, "get put DirectoryTable record"]
JOBS = ["get put MessageJobsTable job#"]
ONCE = ["get put MessageJobsTable once#"]
ENQUEUE = [f"sqs:{action} {queue}" for queue in ("NormalQueue", "BulkQueue") for action in ("SendMessage", "GetQueueAttributes")]
STAGED = [f"s3:{action} UploadsBucket/staged/probe" for action in ("GetObject", "DeleteObject")]
TAKE = [f"sqs:{action} {queue}" for queue in ("NormalQueue", "BulkQueue")
        for action in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")]
MAY = {
    "authorize": ["get ApiKeysTable record", "put ApiKeysTable used#"],
    "health": ["get AppsTable ping", "cache:Connect CacheProbeUser", "cache:ReadUrl"],
    "get-token": [*KEY, *OPEN, *CACHE, *TOKENS, *LOGINS],
    "get-user": [*KEY, *DIRECTORY],
    "find-user": [*KEY, *DIRECTORY],
    "batch-get-users": [*KEY, *DIRECTORY, "batch-get DirectoryTable record", *ONCE],
    "get-department": [*KEY, *DIRECTORY],
    "list-department-users": [*KEY, *DIRECTORY],
    "list-chats": [*KEY, *DIRECTORY],
    "get-chat": [*KEY, *DIRECTORY],
    "list-chat-members": [*KEY, *DIRECTORY],
    "manage-apps": [*KEY, *OPEN, *CACHE, "get batch-get put AppsTable record listed", "query AppsTable listed change#",
                    "put AppsTable change#", "delete AppsTable listed ticket#",
                    "get query put TokensTable tenant# app# user#", *ONCE],
    "manage-api-keys": [*CACHE, *OPEN, *ONCE, "get put check ApiKeysTable record listed", "batch-get ApiKeysTable record listed used# callback#",
                        "query ApiKeysTable listed change#", "put ApiKeysTable change#"],
    "start-login": [*OPEN, *CACHE, *READ_APPS, "put TokensTable login#"],
    "finish-login": [*OPEN, *CACHE, *READ_APPS, *LOGINS, "get put TokensTable login#"],
    "end-login": [*KEY, *OPEN, *CACHE, *READ_APPS, *LOGINS],
    "store-app-ticket": [*OPEN, *CACHE, *READ_APPS, "put AppsTable ticket#", "get put TokensTable app#"],
    "reply-message": [*KEY, *OPEN, *CACHE, *TOKENS, *JOBS, *ENQUEUE, *ONCE, "get put MessageJobsTable sent#"],
    "get-message": [*KEY, *OPEN, *CACHE, *TOKENS, "get MessageJobsTable sent#"],
    "update-message": [*KEY, *OPEN, *CACHE, *TOKENS, "get MessageJobsTable sent#"],
    "recall-message": [*KEY, *OPEN, *CACHE, *TOKENS, "get MessageJobsTable sent#"],
    "send-message": [*KEY, *DIRECTORY, *JOBS, *ENQUEUE, *ONCE, "put MessageJobsTable sent#"],
    "batch-send-messages": [*KEY, *DIRECTORY, *JOBS, *ENQUEUE, "batch-get DirectoryTable record", *ONCE],
    "get-message-job": [*KEY, *CACHE, "get query MessageJobsTable job#"],
    "cancel-message-job": [*KEY, *OPEN, *CACHE, *JOBS, "query MessageJobsTable job#"],
    "create-upload": [*KEY, *OPEN, *CACHE, *READ_APPS, *ONCE, "s3:PutObject UploadsBucket/staged/probe"],
    "upload-image": [*KEY, *OPEN, *CACHE, *TOKENS, *ONCE, *STAGED],
    "upload-file": [*KEY, *OPEN, *CACHE, *TOKENS, *ONCE, *STAGED],
    "manage-dead-letters": [*KEY, *OPEN, *CACHE, *JOBS, *ENQUEUE, *ONCE, "get query delete MessageJobsTable dead#"],
    "deliver-messages": [*DIRECTORY, *JOBS, *ENQUEUE, "query MessageJobsTable job#", "batch-get DirectoryTable record",
                         "get put MessageJobsTable dead#", "get put MessageJobsTable sent#", *TAKE,
                         "batch-get ApiKeysTable record callback#", "put ApiKeysTable callback#"],
    "enqueue-due": [*OPEN, *CACHE, *JOBS, *ENQUEUE, "get put MessageJobsTable dead#", "query MessageJobsTable/index/due"],
    "refresh-tokens": [*OPEN, *CACHE, *TOKENS, *LOGINS, "batch-get AppsTable record", "query TokensTable/index/due"],
    "warm-cache": [*DIRECTORY, "query AppsTable listed", "batch-get AppsTable record", "get put AppsTable usage#",
                   "batch-get delete DirectoryTable record"],
}
# What several functions share counts as used when one of them used it: each renews a token that has ended.
SHARED = {*OPEN, *DIRECTORY, *LOGINS, *KEY}
# What only an unusual course of things needs, and no test of a stack brings about.
RARE = {
    "warm-cache: DeleteItem DirectoryTable record": "somebody left the company since the last run",
    "warm-cache: BatchGetItem DirectoryTable record": "the shared cache lost users who are requested often",
    "manage-apps: GetItem TokensTable user#": "an app is deleted to which users are logged in",
    "manage-apps: PutItem TokensTable user#": "the same",
    "manage-apps: BatchGetItem AppsTable listed": "one statement for all plain records",
    "manage-api-keys: BatchGetItem ApiKeysTable listed": "the same",
    "manage-api-keys: GetItem ApiKeysTable listed": "the same",
    "manage-api-keys: ConditionCheckItem ApiKeysTable listed": "the same",
    "deliver-messages: GetItem MessageJobsTable sent#": "an answer was lost, and the chat's history is read an hour later",
    **{f"reply-message: sqs:{action} {queue}": "a reply for a worker"
       for action in ("SendMessage", "GetQueueAttributes") for queue in ("NormalQueue", "BulkQueue")},
    **{f"{function}: {verb} MessageJobsTable once#": "a request with an Idempotency-Key"
       for function in ("reply-message", "create-upload", "upload-image", "upload-file", "manage-dead-letters")
       for verb in ("GetItem", "PutItem")},
    **{f"upload-image: {operation}": "an image that is too large for a request" for operation in STAGED},
    "reply-message: GetItem MessageJobsTable job#": "one policy for all who keep messages",
    "enqueue-due: GetItem MessageJobsTable job#": "one policy for all who keep messages",
    "create-upload: s3:PutObject UploadsBucket/staged/probe": "its addresses are used by callers, and the emulator decides nothing about them",
    **{f"upload-file: s3:{action} UploadsBucket/staged/probe": "a file that was put into the bucket; the smoke test sends an image so"
       for action in ("GetObject", "DeleteObject")},
    "cancel-message-job: Query MessageJobsTable job#": "a batch is taken back after its receivers have jobs",
    "deliver-messages: Query MessageJobsTable job#": "a batch is looked at half a minute after it was queued",
    **{f"{function}: {verb} MessageJobsTable dead#": "the service fails at a message again and again"
       for function in ("deliver-messages", "enqueue-due") for verb in ("GetItem", "PutItem")},
    **{f"manage-dead-letters: {operation}": "there is a dead letter"
       for operation in ("DeleteItem MessageJobsTable dead#", "GetItem MessageJobsTable job#", "PutItem MessageJobsTable job#",
                         "sqs:SendMessage NormalQueue", "sqs:SendMessage BulkQueue",
                         "sqs:GetQueueAttributes NormalQueue", "sqs:GetQueueAttributes BulkQueue")},
    **{f"{function}: BatchGetItem DirectoryTable record": "receivers of a batch are in no cache and were looked up before"
       for function in ("batch-send-messages", "deliver-messages")},
    **{f"{function}: sqs:{action} {queue}": "a batch goes to the bulk queue unless it says otherwise; a message for later to none"
       for function in ("batch-send-messages", "deliver-messages", "send-message", "enqueue-due")
       for action in ("SendMessage", "GetQueueAttributes") for queue in ("NormalQueue", "BulkQueue")
       if (function, action, queue) not in [("batch-send-messages", "SendMessage", "BulkQueue"),
                                            ("send-message", "SendMessage", "NormalQueue"),
                                            ("send-message", "SendMessage", "BulkQueue"),
                                            ("enqueue-due", "SendMessage", "NormalQueue")]},
    "batch-send-messages: GetItem MessageJobsTable job#": "a repeated request finds its batch",
    "batch-send-messages: GetItem MessageJobsTable once#": "the same",
    "batch-send-messages: PutItem MessageJobsTable once#": "a request that may be repeated",
    **{f"deliver-messages: BatchGetItem ApiKeysTable {place}": "a key has registered callbacks" for place in ("record", "callback#")},
    "deliver-messages: PutItem ApiKeysTable callback#": "a receiver of callbacks is gone",
    **{f"deliver-messages: sqs:ChangeMessageVisibility {queue}": "a message has to wait"
       for queue in ("NormalQueue", "BulkQueue")},
    **{f"deliver-messages: sqs:{action} {queue}": "Lambda polls in the function's name, the emulator in its own"
       for queue in ("NormalQueue", "BulkQueue") for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")},
}


@dataclasses.dataclass(frozen=True)
class Operation:
    """One request: an action, what it is about, and what its conditions see."""

    name: str
    action: str
    resource: str
    keys: tuple = ()
    context: tuple = ()

    def conditions(self):
        if self.keys:
            return {"dynamodb:leadingkeys": list(self.keys)}
        names = [name for name, _ in self.context]
        found = {f"kms:encryptioncontext:{name}": value for name, value in self.context}
        return found | ({"kms:encryptioncontextkeys": names} if names else {})


def partition(place):
    """A partition that no record is in, or none that matters: `cli_probe`, `ticket#cli_probe`."""
    return {"record": "cli_probe"}.get(place, f"{place}cli_probe" if place.endswith("#") else place)


def operations(function):
    for table, places in PLACES.items():
        for place in places + (["ping"] if (function, table) == ("health", "AppsTable") else []):
            for verb in VERBS.values():
                yield Operation(f"{verb} {table} {place}", f"dynamodb:{verb}", table, (partition(place),))
        for verb in OF_TABLES:
            yield Operation(f"{verb} {table}", f"dynamodb:{verb}", table)
    # One partition that is allowed does not open another one in the same request.
    for table, one, other in [("AppsTable", "record", "ticket#"), ("ApiKeysTable", "used#", "change#")]:
        yield Operation(f"BatchGetItem {table} {one} and {other}", "dynamodb:BatchGetItem", table,
                        (partition(one), partition(other)))
    for table in ["TokensTable", "MessageJobsTable"]:
        yield Operation(f"Query {table}/index/due", "dynamodb:Query", f"{table}/index/due", ("0",))
    for action in OF_KEYS:
        for context in ["", RIGHT_CONTEXT, "service=another"] if action in OF_KEYS[:3] else [""]:
            pairs = tuple(tuple(pair.split("=")) for pair in context.split() if pair)
            yield Operation(f"kms:{action} {context}".strip(), f"kms:{action}", "SecretsKey", context=pairs)
    for queue in QUEUES:
        for action in OF_QUEUES:
            yield Operation(f"sqs:{action} {queue}", f"sqs:{action}", queue)
    for action in OF_OBJECTS:
        for path in ["staged/probe", "probe"]:
            yield Operation(f"s3:{action} UploadsBucket/{path}", f"s3:{action}", f"UploadsBucket/{path}")
    yield Operation("s3:ListBucket UploadsBucket", "s3:ListBucket", "UploadsBucket")
    for user in ["CacheUser", "CacheProbeUser"]:
        yield Operation(f"cache:Connect {user}", "elasticache:Connect", user)
    yield Operation("cache:ReadUrl", "secretsmanager:GetSecretValue", "the secret")
    yield Operation("secretsmanager:GetSecretValue", "secretsmanager:GetSecretValue", "another secret")
    for action, resource in [("lambda:InvokeFunction", "ManageAppsFunction"), ("iam:ListRoles", "*"),
                             ("logs:DeleteLogGroup", "FunctionLogs"), ("dynamodb:ListTables", "*")]:
        yield Operation(action, action, resource)


def granted(function):
    """The names of the operations that the function may do."""
    return named(function, MAY[function])


def named(function, lines):
    """The operations that the lines of a table of permissions stand for."""
    names = set()
    for line in lines:
        words = line.split()
        verbs = [word for word in words if word in VERBS]
        table, places = words[len(verbs)], words[len(verbs) + 1:]
        names |= {f"{VERBS[verb]} {table} {place}".strip() for verb in verbs for place in places or [""]}
        if not verbs:
            names.add(line)
    # Some batches name two partitions.
    for operation in operations(function):
        if " and " in operation.name:
            verb, table, one, _, other = operation.name.split()
            if {f"{verb} {table} {one}", f"{verb} {table} {other}"} <= names:
                names.add(operation.name)
    return names


def logical_id(function):
    return "".join(map(str.capitalize, function.split("-"))) + "Function"


# ------------------------------------------------------------------------------------------- The template's policies

NOTHING = object()
PSEUDO = {"AWS::NoValue": NOTHING, "AWS::Region": "us-east-1", "AWS::Partition": "aws", "AWS::AccountId": "123456789012",
          "AWS::URLSuffix": "amazonaws.com", "AWS::StackName": "lark", "AWS::StackId": "arn/lark/0-0-0-0-stack"}
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:cache"
SCENARIOS = {
    "cache in the VPC": ({}, {"cache:ReadUrl"}),
    "public cache": ({"NetworkMode": "Public"}, {"cache:ReadUrl"}),
    "cache by a secret": ({"CacheUrlSecretArn": SECRET}, {"cache:Connect CacheUser", "cache:Connect CacheProbeUser"}),
}


class Stack:
    """template.yaml with its parameters and conditions filled in."""

    def __init__(self, parameters):
        self.template = template.read()
        defaults = {name: it.get("Default", "") for name, it in self.template["Parameters"].items()}
        self.values = {name: str(value) for name, value in (defaults | parameters).items()}

    def holds(self, condition):
        [(kind, of)] = condition.items()
        match kind:
            case "Condition":
                return self.holds(self.template["Conditions"][of])
            case "Fn::Equals":
                return self.resolve(of[0]) == self.resolve(of[1])
            case "Fn::Not":
                return not self.holds(of[0])
            case "Fn::And":
                return all(map(self.holds, of))
            case "Fn::Or":
                return any(map(self.holds, of))
        sys.exit(f"the condition {kind} is not understood here")

    def resolve(self, node):
        if isinstance(node, list):
            return [it for it in map(self.resolve, node) if it is not NOTHING]
        if not isinstance(node, dict):
            return str(node)
        match list(node.items()):
            case [("Ref", name)]:
                return self.values.get(name, PSEUDO.get(name, name))
            case [("Fn::If", [condition, yes, no])]:
                return self.resolve(yes if self.holds({"Condition": condition}) else no)
            case [("Fn::GetAtt", name)]:
                return self.arn(name.removesuffix(".Arn"))
            case [("Fn::Sub", of)]:
                text, names = (of, {}) if isinstance(of, str) else of
                for name, value in names.items():
                    text = text.replace(f"${{{name}}}", self.resolve(value))
                for name in set(PSEUDO) | set(self.values):
                    text = text.replace(f"${{{name}}}", str(self.values.get(name, PSEUDO.get(name))))
                return re.sub(r"\$\{(\w+)\.Arn\}", lambda found: self.arn(found[1]), text)
        resolved = {name: self.resolve(value) for name, value in node.items()}
        return {name: value for name, value in resolved.items() if value is not NOTHING}

    def arn(self, name):
        service, kind = {"AWS::DynamoDB::Table": ("dynamodb", "table/"), "AWS::KMS::Key": ("kms", "key/"),
                         "AWS::Logs::LogGroup": ("logs", "log-group:"), "AWS::SQS::Queue": ("sqs", ""),
                         "AWS::Serverless::Function": ("lambda", "function:"),
                         "AWS::S3::Bucket": ("s3", "")}[self.template["Resources"][name]["Type"]]
        if service == "s3":
            return f"arn:aws:s3:::{name}"
        return f"arn:aws:{service}:us-east-1:123456789012:{kind}{name}"

    def policies(self, function):
        """The policy documents of a function, those of managed policies included."""
        properties = self.template["Resources"][logical_id(function)]["Properties"]
        resolved = self.resolve(properties["Policies"])
        managed = template.resources(self.template, "AWS::IAM::ManagedPolicy")
        return [it if isinstance(it, dict) else self.resolve(managed[it]["Properties"]["PolicyDocument"])
                for it in resolved]

    def resource(self, operation):
        base = operation.resource.partition("/")[0]
        if operation.resource in ("the secret", "another secret"):
            return SECRET if operation.resource == "the secret" else SECRET + "-another"
        if operation.action == "elasticache:Connect":
            return f"arn:aws:elasticache:us-east-1:123456789012:user:{operation.resource}"
        return "*" if base == "*" else self.arn(base) + operation.resource[len(base):]


def evaluate_template():
    from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document

    problems, count = [], 0
    for scenario, (parameters, absent) in SCENARIOS.items():
        stack = Stack(parameters)
        known = {logical_id(function) for function in MAY}
        problems += [f"{name} is not in MAY" for name in template.resources(stack.template, "AWS::Serverless::Function")
                     if name not in known]
        for function in MAY:
            policies = [parse_policy_document(document) for document in stack.policies(function)]
            may = granted(function) - absent
            for operation in operations(function):
                context = EvalContext(
                    principal_arn=f"arn:aws:sts::123456789012:assumed-role/{function}/it", principal_type="AssumedRole",
                    principal_account="123456789012", action=operation.action, region="us-east-1",
                    resource_arn=stack.resource(operation), service_context=operation.conditions())
                can = evaluate(context, policies).decision == "Allow"
                count += 1
                problems += compared(f"{function} ({scenario})", operation, can, operation.name in may)
    return problems, count


def compared(function, operation, can, may):
    if can == may:
        return []
    return [f"{function}: {operation.name} is {'allowed and must not be' if can else 'refused and is needed'}"]


# ------------------------------------------------------------------------------------------------ A stack, by trying

NEVER = "attribute_exists(pk) AND attribute_not_exists(pk)"


def try_stack(stack, secret):
    import boto3

    ids = {it["LogicalResourceId"]: it["PhysicalResourceId"]
           for it in boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]}
    problems, count = [], 0
    for function in MAY:
        session = as_function(boto3, ids[logical_id(function)])
        for operation in operations(function):
            if operation.action == "elasticache:Connect" or operation.resource == "the secret" and not secret:
                continue  # no API call; nothing to read
            can = is_allowed(session, operation, ids, secret)
            count += 1
            problems += compared(function, operation, can, operation.name in granted(function))
    return problems, count


def as_function(boto3, name):
    """A session with the function's own role, which trusts Lambda alone: for this test it trusts us as well."""
    role = boto3.client("lambda").get_function_configuration(FunctionName=name)["Role"]
    iam = boto3.client("iam")
    known = iam.get_role(RoleName=role.rpartition("/")[2])["Role"]
    trust = known["AssumeRolePolicyDocument"]
    account = role.split(":")[4]
    us = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}}
    iam.update_assume_role_policy(RoleName=known["RoleName"], PolicyDocument=json.dumps(
        {**trust, "Statement": [*trust["Statement"], us]}))
    keys = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="permissions")["Credentials"]
    iam.update_assume_role_policy(RoleName=known["RoleName"], PolicyDocument=json.dumps(trust))
    return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def is_allowed(session, operation, ids, secret):
    from botocore.config import Config
    from botocore.exceptions import ClientError

    service, _, action = operation.action.partition(":")
    client = session.client(service, config=Config(retries={"total_max_attempts": 1}, parameter_validation=False))
    action_of = {"InvokeFunction": "Invoke", "ListBucket": "ListObjects", "ConditionCheckItem": "TransactWriteItems"}
    method = re.sub(r"(?<!^)([A-Z])", r"_\1", action_of.get(action, action)).lower()
    try:
        getattr(client, method)(**arguments(operation, action, ids, secret))
    except ClientError as error:
        return not error.response["Error"]["Code"].startswith("AccessDenied")
    return True


def arguments(operation, action, ids, secret):
    table = ids.get(operation.resource.partition("/")[0], operation.resource)
    keys = [{"pk": {"S": key}, "sk": {"S": "probe"}} for key in operation.keys]
    match action:
        case "GetItem":
            return {"TableName": table, "Key": keys[0]}
        case "DeleteItem" | "UpdateItem":
            return {"TableName": table, "Key": keys[0], "ConditionExpression": NEVER}
        case "PutItem":
            return {"TableName": table, "Item": keys[0], "ConditionExpression": NEVER}
        case "ConditionCheckItem":
            return {"TransactItems": [{"ConditionCheck": {"TableName": table, "Key": keys[0], "ConditionExpression": NEVER}}]}
        case "BatchGetItem":
            return {"RequestItems": {table: {"Keys": keys}}}
        case "BatchWriteItem":
            return {"RequestItems": {table: [{"DeleteRequest": {"Key": key}} for key in keys]}}
        case "Query" if "/" in operation.resource:
            return {"TableName": table, "IndexName": "due", "KeyConditionExpression": "due_shard = :pk",
                    "ExpressionAttributeValues": {":pk": {"N": "0"}}, "Limit": 1}
        case "Query":
            return {"TableName": table, "KeyConditionExpression": "pk = :pk",
                    "ExpressionAttributeValues": {":pk": keys[0]["pk"]}, "Limit": 1}
        case "Decrypt" | "Encrypt" | "GenerateDataKey":
            more = {"Decrypt": {"CiphertextBlob": b"0" * 64}, "Encrypt": {"Plaintext": b"0"},
                    "GenerateDataKey": {"KeySpec": "AES_256"}}[action]
            return {"KeyId": arn_of_key(ids), "EncryptionContext": dict(operation.context), **more}
        case "ScheduleKeyDeletion" | "DisableKey":
            return {"KeyId": arn_of_key(ids)}
        case "PutKeyPolicy":
            return {"KeyId": arn_of_key(ids), "PolicyName": "default", "Policy": "{}"}
        case "GetSecretValue":
            return {"SecretId": secret if operation.resource == "the secret" else "another"}
        case "InvokeFunction":
            return {"FunctionName": table, "Payload": b"{}"}
        case "DeleteLogGroup":
            return {"logGroupName": table}
        case "CreateBackup":
            return {"TableName": table, "BackupName": "probe"}
        case "UpdateTimeToLive":
            return {"TableName": table, "TimeToLiveSpecification": {"Enabled": False, "AttributeName": "ttl"}}
        case "ListTables" | "ListRoles":
            return {}
        # Every one lacks something, or names no message.
        case "SendMessage":
            return {"QueueUrl": table, "MessageBody": ""}
        case "ReceiveMessage":
            return {"QueueUrl": table, "MaxNumberOfMessages": 0}
        case "DeleteMessage":
            return {"QueueUrl": table, "ReceiptHandle": "none"}
        case "ChangeMessageVisibility":
            return {"QueueUrl": table, "ReceiptHandle": "none", "VisibilityTimeout": 0}
        case "StartMessageMoveTask":
            return {"SourceArn": "none"}
        case "GetObject" | "DeleteObject":
            return {"Bucket": table, "Key": operation.resource.partition("/")[2]}
        case "PutObject":
            # With a checksum that nothing has.
            return {"Bucket": table, "Key": operation.resource.partition("/")[2], "ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
        case "ListBucket":
            return {"Bucket": table}
        case _ if operation.resource in QUEUES:
            return {"QueueUrl": table}
    return {"TableName": table}


def arn_of_key(ids):
    key = ids["SecretsKey"]
    return key if key.startswith("arn:") else f"arn:aws:kms:us-east-1:000000000000:key/{key}"


# --------------------------------------------------------------------------------------------- What was really done


def unused(stack, journal):
    """What functions may do in DynamoDB, KMS and SQS and did not do while the journal was kept, and what they were refused."""
    import boto3

    ids = {it["LogicalResourceId"]: it["PhysicalResourceId"]
           for it in boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]}
    tables = {f"table/{ids[name]}": name for name in PLACES}
    queues = {ids[name].rpartition("/")[2]: name for name in QUEUES}
    roles = {ids[logical_id(function) + "Role"]: function for function in MAY}
    did, refused = collections.defaultdict(set), []
    for line in map(json.loads, open(journal, encoding="utf-8")):
        function = roles.get(line["who"].split("/")[1] if "/" in line["who"] else "")
        if function is None:
            continue
        if not line["allowed"]:
            refused.append(f"{function}: {line['action']} {line['on']} {line['keys']} was refused")
        action = line["action"].partition(":")[2]
        resource = line["on"].split(":", 5)[-1]
        if line["action"].startswith("kms:"):
            did[function].add(f"{line['action']} {RIGHT_CONTEXT}")
        elif resource in queues:
            did[function].add(f"{line['action']} {queues[resource]}")
        elif resource.endswith("/index/due") and resource.removesuffix("/index/due") in tables:
            did[function].add(f"Query {tables[resource.removesuffix('/index/due')]}/index/due")
        elif resource in tables:
            table = tables[resource]
            for key in line["keys"]:
                did[function].add(f"{action} {table} {place_of(table, key)}")
    by_any = set().union(*did.values())
    idle = []
    for function in MAY:
        shared = named(function, [line for line in MAY[function] if line in SHARED])
        own = named(function, [line for line in MAY[function] if line not in SHARED])
        idle += [f"{function}: {name}" for name in sorted((own - did[function]) | (shared - by_any))
                 if not name.startswith("cache:") and " and " not in name]
    return refused, [it for it in idle if it not in RARE]


def place_of(table, key):
    prefix = key.partition("#")[0] + "#"
    return next((place for place in PLACES[table] if place in (prefix, key)), "ping" if key == "ping" else "record")


def main(arguments):
    if arguments.used:
        refused, idle = unused(arguments.stack, arguments.used)
        if refused or idle:
            sys.exit("\n".join(refused + [f"{it} is allowed and was not used" for it in idle]))
        print("nobody was refused what a function needs, and everything that is allowed was used")
        return
    problems, count = try_stack(arguments.stack, arguments.secret) if arguments.stack else evaluate_template()
    if problems:
        sys.exit("\n".join(problems))
    print(f"{count} operations of {len(MAY)} functions are allowed or refused as scripts/permissions.py says")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack", nargs="?")
    parser.add_argument("--secret", help="ARN of the secret with the cache's URL")
    parser.add_argument("--used", metavar="JOURNAL")
    main(parser.parse_args())
