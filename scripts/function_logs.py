"""The logs of a stack's functions, oldest first: `function_logs.py STACK`."""

import sys

import boto3


def main(stack):
    outputs = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    group = next(it["OutputValue"] for it in outputs if it["OutputKey"] == "FunctionLogGroup")
    pages = boto3.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    for event in sorted((event for page in pages for event in page["events"]), key=lambda event: event["timestamp"]):
        print(event["message"].rstrip())


if __name__ == "__main__":
    main(*sys.argv[1:])
