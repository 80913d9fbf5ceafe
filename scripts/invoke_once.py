"""Sends one event to a function under the runtime interface emulator and prints its answer: `invoke_once.py URL EVENT`.

Fails when the function fails, not when it answers with an error status: some sample events expect one.
"""

import json
import sys
import urllib.request

PATH = "/2015-03-31/functions/function/invocations"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main(url, event):
    with open(event, "rb") as file:
        request = urllib.request.Request(url + PATH, data=file.read())
    with DIRECT.open(request, timeout=90) as response:
        answer = json.load(response)
    if isinstance(answer, dict) and isinstance(answer.get("body"), str):
        answer["body"] = readable(answer["body"])
    print(json.dumps(answer, indent=2, ensure_ascii=False))
    if isinstance(answer, dict) and "errorType" in answer:
        sys.exit("the function failed")


def readable(body):
    """The body parsed, if it is JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return body


if __name__ == "__main__":
    main(*sys.argv[1:])
