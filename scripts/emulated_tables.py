"""Creates template.yaml's tables, the queues of its lanes and a KMS key in the AWS emulator at AWS_ENDPOINT_URL, and prints
NAME=value lines for the functions' environment. Used to run one function without deploying the stack.

With a path (`emulated_tables.py KEY_FILE`) the data keys are in that file instead, and there are no queues: not every DynamoDB
API comes with a KMS and an SQS.
"""

import sys

import boto3

import template


def main(key_file=None):
    dynamodb = boto3.client("dynamodb")
    for logical_id, resource in template.resources(template.read(), "AWS::DynamoDB::Table").items():
        properties = resource["Properties"]
        dynamodb.create_table(TableName=logical_id, **{
            name: properties[name]
            for name in ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode") if name in properties})
        print(f"{template.table_variable(logical_id)}={logical_id}")
    if key_file:
        print(f"LARK_SERVICE_KMS_KEY_ID=\nLARK_SERVICE_KEY_FILE={key_file}")
        print("LARK_SERVICE_NORMAL_QUEUE_URL=\nLARK_SERVICE_BULK_QUEUE_URL=")
    else:
        sqs = boto3.client("sqs")
        fifo = {"FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId", "DeduplicationScope": "messageGroup"}
        for lane in ["normal", "bulk"]:
            url = sqs.create_queue(QueueName=f"lark-{lane}.fifo", Attributes=fifo)["QueueUrl"]
            print(f"LARK_SERVICE_{lane.upper()}_QUEUE_URL={url}")
        print(f"LARK_SERVICE_KMS_KEY_ID={boto3.client('kms').create_key()['KeyMetadata']['Arn']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
