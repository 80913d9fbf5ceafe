"""Creates the routes of a stack's HTTP API in ministack: `ministack_routes.py STACK`, and prints the API's address.

ministack ignores the OpenAPI body into which SAM translates HttpApi events. This script reads the body from the processed
template and creates the routes one by one, as API Gateway would.
"""

import json
import re
import sys

import boto3


def main(stack):
    cloudformation, gateway = boto3.client("cloudformation"), boto3.client("apigatewayv2")
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    if isinstance(template, str):
        template = json.loads(template)
    ids = {it["LogicalResourceId"]: it["PhysicalResourceId"]
           for it in cloudformation.describe_stack_resources(StackName=stack)["StackResources"]}
    arns = {name: boto3.client("lambda").get_function_configuration(FunctionName=ids[name])["FunctionArn"]
            for name, it in template["Resources"].items() if it["Type"] == "AWS::Lambda::Function"}
    [(api, resource)] = [(ids[name], it) for name, it in template["Resources"].items()
                         if it["Type"] == "AWS::ApiGatewayV2::Api"]
    body = resource["Properties"]["Body"]

    def function_arn(uri):
        """The function that an integration's URI names, whichever intrinsic functions it uses."""
        [name] = set(re.findall(r"\b(\w+Function)\b", json.dumps(uri)))
        return arns[name]

    authorizers = {}
    for name, scheme in body.get("components", {}).get("securitySchemes", {}).items():
        settings = scheme["x-amazon-apigateway-authorizer"]
        authorizers[name] = gateway.create_authorizer(
            ApiId=api, Name=name, AuthorizerType="REQUEST",
            AuthorizerUri=invocation_uri(function_arn(settings["authorizerUri"])),
            AuthorizerPayloadFormatVersion=str(settings["authorizerPayloadFormatVersion"]),
            EnableSimpleResponses=settings["enableSimpleResponses"],
            AuthorizerResultTtlInSeconds=settings["authorizerResultTtlInSeconds"],
            IdentitySource=[settings["identitySource"]] if isinstance(settings["identitySource"], str)
            else settings["identitySource"],
        )["AuthorizerId"]

    integrations = {}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            arn = function_arn(operation["x-amazon-apigateway-integration"]["uri"])
            if arn not in integrations:
                integrations[arn] = gateway.create_integration(
                    ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0",
                )["IntegrationId"]
            guards = [name for requirement in operation.get("security", []) for name in requirement if name in authorizers]
            security = {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizers[guards[0]]} if guards else {}
            verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            gateway.create_route(ApiId=api, RouteKey=f"{verb} {path}", Target=f"integrations/{integrations[arn]}",
                                 **security)
            print(f"{verb} {path} -> {arn.rpartition(':')[2]}{' behind ' + guards[0] if guards else ''}", file=sys.stderr)
    print(f"{gateway.meta.endpoint_url}/_aws/execute-api/{api}/$default")


def invocation_uri(arn):
    _, partition, _, region, *_ = arn.split(":")
    return f"arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations"


if __name__ == "__main__":
    main(sys.argv[1])
