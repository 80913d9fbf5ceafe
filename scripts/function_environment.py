"""The service's variables of one deployed function, as NAME=value lines: `function_environment.py STACK LOGICAL_ID`."""

import sys

import boto3


def main(stack, logical_id):
    resource = boto3.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    name = resource["StackResourceDetail"]["PhysicalResourceId"]
    configuration = boto3.client("lambda").get_function_configuration(FunctionName=name)
    for variable, value in configuration["Environment"]["Variables"].items():
        if variable.startswith("LARK_SERVICE_"):
            print(f"{variable}={value}")


if __name__ == "__main__":
    main(*sys.argv[1:])
