"""Prints open_id and e-mail address of a simulated user: `simulated_user.py SIMULATOR_URL APP_ID NUMBER`."""

import json
import sys
import urllib.request


def main(url, app_id, number):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{url}/_sim/users/{number}?app_id={app_id}", timeout=10) as response:
        user = json.load(response)
    print(user["open_id"], user["email"])


if __name__ == "__main__":
    main(*sys.argv[1:])
